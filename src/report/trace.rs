//! The report as a Chrome trace, which Perfetto and speedscope open.

use super::json::{Fields, Items, object};
use super::moments::{end, end_of, end_of_all, phase_of_leak, start_of};
use super::{PhaseRecord, Report, Span, ThreadRecord};
use crate::phase::Phase;
use crate::sync::Arc;

/// The report in the trace event format: JSON, times in microseconds since finalization began.
///
/// Everything of a runtime is on one track, nested: the finalization, its phases, their handlers; and what its threads
/// did on one more for each. Each
/// child has a track of its own, as a process of its own, on the same time axis. A phase that
/// ran several times is several events. What is known only of the phase as a whole (its work, what
/// blocked it, what failed in it) is on the longest of them, so that a sum counts it once.
/// Runaways, leaks, resurrected objects and calls from inside dealloc are instants, at the end of the
/// phase that finds them.
pub fn to_trace(report: &Report) -> String {
    let mut out = String::new();
    object(&mut out, |trace| {
        trace.array("traceEvents", |events| {
            let mut next_pid = 1;
            let zero = -earliest(report);
            runtime(&mut Track { events, pid: 0, tid: FINALIZATION, zero }, report, &mut next_pid);
        });
        trace.field("displayTimeUnit", "ms");
    });
    out
}

/// When the first of the tree began, on the time axis of `report`: below zero if another thread was
/// finalizing a child already.
fn earliest(report: &Report) -> i64 {
    let began = |child: &Arc<Report>| start_of(report, child).saturating_add(earliest(child));
    report.children.iter().map(began).fold(0, i64::min)
}

/// The track of the finalization, before those of the threads.
const FINALIZATION: u32 = 1;

/// Where the events of one runtime go.
struct Track<'a, 'b> {
    events: &'a mut Items<'b>,
    pid: u32,
    tid: u32,
    /// Its zero on the time axis of the trace.
    zero: i64,
}

impl Track<'_, '_> {
    fn at(&self, us: u64) -> u64 {
        us.saturating_add_signed(self.zero)
    }
}

/// A runtime and, after it, its children.
fn runtime(track: &mut Track<'_, '_>, report: &Report, next_pid: &mut u32) {
    track.pid = *next_pid;
    *next_pid += 1;
    metadata(track, "process_name", &report.runtime);
    metadata(track, "thread_name", "finalization");
    whole(track, report);
    for record in &report.phases {
        phase(track, report, record);
    }
    instants(track, report);
    for (tid, of) in (FINALIZATION + 1..).zip(&report.threads) {
        track.tid = tid;
        thread(track, of);
    }
    track.tid = FINALIZATION;
    for child in &report.children {
        let zero = track.zero.saturating_add(start_of(report, child));
        let mut nested = Track { events: track.events, pid: 0, tid: FINALIZATION, zero };
        runtime(&mut nested, child, next_pid);
    }
}

/// The fields every event has. A report does not know its process and thread: they are just counted.
fn event(track: &mut Track<'_, '_>, name: &str, kind: &str, fill: impl FnOnce(&mut Fields<'_>)) {
    let (pid, tid) = (track.pid, track.tid);
    track.events.object(|e| {
        e.field("name", name);
        e.field("ph", kind);
        e.field("pid", &pid);
        e.field("tid", &tid);
        fill(e);
    });
}

fn metadata(track: &mut Track<'_, '_>, what: &str, name: &str) {
    event(track, what, "M", |e| e.object("args", |args| args.field("name", name)));
}

fn complete(
    track: &mut Track<'_, '_>,
    category: &str,
    name: &str,
    span: Span,
    args: impl FnOnce(&mut Fields<'_>),
) {
    let start_us = track.at(span.start_us);
    event(track, name, "X", |e| {
        e.field("cat", category);
        e.field("ts", &start_us);
        e.field("dur", &span.us);
        e.object("args", args);
    });
}

fn instant(
    track: &mut Track<'_, '_>,
    category: &str,
    name: &str,
    at: u64,
    args: impl FnOnce(&mut Fields<'_>),
) {
    let at = track.at(at);
    event(track, name, "i", |e| {
        e.field("cat", category);
        e.field("s", "t");
        e.field("ts", &at);
        e.object("args", args);
    });
}

fn whole(track: &mut Track<'_, '_>, report: &Report) {
    let span = Span { start_us: 0, us: end_of_all(report) };
    complete(track, "finalization", &format!("finalize {}", report.runtime), span, |args| {
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

fn phase(track: &mut Track<'_, '_>, report: &Report, record: &PhaseRecord) {
    let longest = record.spans.iter().enumerate().rev().max_by_key(|(_, span)| span.us);
    for (at, span) in record.spans.iter().enumerate() {
        complete(track, "phase", record.phase.name(), *span, |args| {
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
        complete(track, "handler", &run.name, nested(run.span, &record.spans), |_| ());
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

fn thread(track: &mut Track<'_, '_>, thread: &ThreadRecord) {
    metadata(track, "thread_name", &thread.name);
    for stretch in &thread.stretches {
        let what = if stretch.what.is_empty() { stretch.state.name() } else { &stretch.what };
        complete(track, "thread", what, stretch.span, |args| {
            args.field("state", stretch.state.name());
        });
    }
}

fn instants(track: &mut Track<'_, '_>, report: &Report) {
    for name in &report.runaways {
        let at = end_of(report, Phase::Freeze);
        instant(track, "runaway", &format!("runaway: {name}"), at, |args| {
            args.field("name", name);
        });
    }
    for continued in &report.continued {
        let at = end_of(report, continued.phase);
        instant(track, "continued", &format!("not waited for: {}", continued.name), at, |args| {
            args.field("state", continued.state.name());
            args.field("us", &continued.us);
            args.field("how", &continued.how);
        });
    }
    for leak in &report.leaks {
        let at = end_of(report, phase_of_leak(leak.kind));
        instant(track, "leak", &format!("leak: {}", leak.name), at, |args| {
            args.field("kind", leak.kind.name());
            args.field("name", &leak.name);
            args.field("bytes", &leak.bytes);
            args.field("reason", &leak.reason);
        });
    }
    for resurrected in &report.resurrected {
        let at = end_of(report, Phase::Finalize);
        instant(
            track,
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
        instant(track, "violation", &format!("in dealloc: {}", violation.call), at, |args| {
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
