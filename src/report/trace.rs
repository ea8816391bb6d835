//! The report as a Chrome trace, which Perfetto and speedscope open.

use super::json::{Fields, Items, object};
use super::{PhaseRecord, Report, Span};
use crate::ledger::LeakKind;
use crate::phase::Phase;

/// The report in the trace event format: JSON, times in microseconds since finalization began.
///
/// Everything is on one track, nested: the finalization, its phases, their handlers. A phase that
/// ran several times is several events. What is known only of the phase as a whole (its work, what
/// blocked it, what failed in it) is on the longest of them, so that a sum counts it once.
/// Runaways, leaks, resurrected objects and calls from inside dealloc are instants, at the end of the
/// phase that finds them.
pub fn to_trace(report: &Report) -> String {
    let mut out = String::new();
    object(&mut out, |trace| {
        trace.array("traceEvents", |events| {
            metadata(events, "process_name", &report.runtime);
            metadata(events, "thread_name", "finalization");
            whole(events, report);
            for record in &report.phases {
                phase(events, report, record);
            }
            instants(events, report);
        });
        trace.field("displayTimeUnit", "ms");
    });
    out
}

/// The fields every event has. A report does not know its process and thread: they are just 1.
fn event(events: &mut Items<'_>, name: &str, kind: &str, fill: impl FnOnce(&mut Fields<'_>)) {
    events.object(|e| {
        e.field("name", name);
        e.field("ph", kind);
        e.field("pid", &1u32);
        e.field("tid", &1u32);
        fill(e);
    });
}

fn metadata(events: &mut Items<'_>, what: &str, name: &str) {
    event(events, what, "M", |e| e.object("args", |args| args.field("name", name)));
}

fn complete(
    events: &mut Items<'_>,
    category: &str,
    name: &str,
    span: Span,
    args: impl FnOnce(&mut Fields<'_>),
) {
    event(events, name, "X", |e| {
        e.field("cat", category);
        e.field("ts", &span.start_us);
        e.field("dur", &span.us);
        e.object("args", args);
    });
}

fn instant(
    events: &mut Items<'_>,
    category: &str,
    name: &str,
    at: u64,
    args: impl FnOnce(&mut Fields<'_>),
) {
    event(events, name, "i", |e| {
        e.field("cat", category);
        e.field("s", "t");
        e.field("ts", &at);
        e.object("args", args);
    });
}

fn whole(events: &mut Items<'_>, report: &Report) {
    let last = report.phases.iter().flat_map(|record| &record.spans).map(|&span| end(span)).max();
    let span = Span { start_us: 0, us: report.total_us.max(last.unwrap_or(0)) };
    complete(events, "finalization", &format!("finalize {}", report.runtime), span, |args| {
        args.field("status", &report.status);
        args.field("passes", &report.passes);
        args.field("deadline_us", &report.deadline_us);
        args.field("missing_bytes", &report.missing_bytes());
        args.field("late_calls", &report.late_calls);
        args.field("undetached", &report.undetached);
        args.field("not_restartable", &report.not_restartable);
        // A wait or failure in a phase without a record has no event of its own to be on.
        let ran = |phase| report.phase(phase).is_some_and(|record| !record.spans.is_empty());
        trouble(args, report, |phase| !ran(phase));
    });
}

fn phase(events: &mut Items<'_>, report: &Report, record: &PhaseRecord) {
    let longest = record.spans.iter().enumerate().rev().max_by_key(|(_, span)| span.us);
    for (at, span) in record.spans.iter().enumerate() {
        complete(events, "phase", record.phase.name(), *span, |args| {
            if record.spans.len() > 1 {
                args.field("pass", &(at as u64 + 1));
            }
            if longest.is_some_and(|(longest, _)| longest == at) {
                args.field("work", &record.work);
                args.field("unit", record.phase.unit());
                args.field("budget_us", &record.budget_us);
                args.field("overran", &record.overran);
                trouble(args, report, |phase| phase == record.phase);
            }
        });
    }
    for run in &record.handlers {
        complete(events, "handler", &run.name, nested(run.span, &record.spans), |_| ());
    }
}

/// What blocked and what failed in the phases meant, if anything did.
fn trouble(args: &mut Fields<'_>, report: &Report, meant: impl Fn(Phase) -> bool) {
    let blocked: Vec<_> = report.blocked.iter().filter(|b| meant(b.phase)).collect();
    let failures: Vec<_> = report.failures.iter().filter(|f| meant(f.phase)).collect();
    if !blocked.is_empty() {
        args.field("blocked", &blocked);
    }
    if !failures.is_empty() {
        args.field("failures", &failures);
    }
}

fn instants(events: &mut Items<'_>, report: &Report) {
    for name in &report.runaways {
        let at = end_of(report, Phase::Freeze);
        instant(events, "runaway", &format!("runaway: {name}"), at, |args| {
            args.field("name", name);
        });
    }
    for leak in &report.leaks {
        let phase = match leak.kind {
            LeakKind::Overlapped => Phase::Overlapped,
            LeakKind::Writer => Phase::FlushLate,
            LeakKind::ThreadState => Phase::Reclaim,
            LeakKind::Child => Phase::Children,
            LeakKind::Object => Phase::Dealloc,
        };
        let at = end_of(report, phase);
        instant(events, "leak", &format!("leak: {}", leak.name), at, |args| {
            args.field("kind", leak.kind.name());
            args.field("name", &leak.name);
            args.field("bytes", &leak.bytes);
            args.field("reason", &leak.reason);
        });
    }
    for resurrected in &report.resurrected {
        let at = end_of(report, Phase::Finalize);
        instant(
            events,
            "resurrected",
            &format!("resurrected: {}", resurrected.object),
            at,
            |args| {
                args.field("object", &resurrected.object);
                args.field("count", &resurrected.count);
            },
        );
    }
    for violation in &report.violations {
        let at = end_of(report, Phase::Dealloc);
        instant(events, "violation", &format!("in dealloc: {}", violation.call), at, |args| {
            args.field("object", &violation.object);
            args.field("call", &violation.call);
            args.field("count", &violation.count);
        });
    }
}

/// `span`, cut to end no later than the run of the phase it began in.
///
/// Both are rounded to microseconds apart, so a handler can seem to outlast its phase by one;
/// viewers draw events that overlap without nesting wrong, or drop them.
fn nested(span: Span, runs: &[Span]) -> Span {
    match runs.iter().rfind(|run| run.start_us <= span.start_us && span.start_us <= end(**run)) {
        Some(run) => Span { us: span.us.min(end(*run) - span.start_us), ..span },
        None => span,
    }
}

fn end(span: Span) -> u64 {
    span.start_us.saturating_add(span.us)
}

/// When `phase` ended for the last time; the end of it all if it did not run.
fn end_of(report: &Report, phase: Phase) -> u64 {
    let spans = report.phase(phase).map_or(&[][..], |record| &record.spans);
    spans.iter().map(|&span| end(span)).max().unwrap_or(report.total_us)
}
