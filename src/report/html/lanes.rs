//! What happened when: a lane for each thread and each phase, and below them one for whatever ran, was waited for,
//! stopped or stayed.

mod gather;
mod lane;
mod threads;

use super::super::moments::{end_of, end_of_all, phase_of_leak, start_of};
use super::super::{PhaseRecord, Report, Span};
use super::markup::{Count, Hint, Markup, Name, Number, Sentence, Time};
use crate::phase::Phase;
use gather::{Gathered, runs, waits};
use lane::{Axis, Bar, Look};
use std::collections::HashSet;

/// How many lanes a group has: of runs and waits those of the longest.
pub const LANES: usize = 40;

/// How many of the things that are in a list below, too, have a lane.
const LISTED: usize = 20;

pub fn section(m: &mut Markup<'_>, report: &Report) {
    let axis = Axis { end: axis_end(report) };
    let number = m.number();
    m.put(format_args!("<section class=\"time\">\n"));
    lane::head(m, number);
    axis.begin(m);
    marks(m, &axis, report);
    threads::threads(m, &axis, report);
    phases(m, &axis, report);
    host_code(m, &axis, report);
    waited_for(m, &axis, report);
    taken_over(m, &axis, report);
    stopped(m, &axis, report);
    still_inside(m, &axis, report);
    children(m, &axis, report);
    leaks(m, &axis, report);
    m.put(format_args!("</div></div>\n</section>\n"));
}

fn axis_end(report: &Report) -> u64 {
    let ends = report.children.iter().map(|child| {
        let end = start_of(report, child).saturating_add_unsigned(child.total_us);
        u64::try_from(end).unwrap_or(0)
    });
    ends.fold(end_of_all(report), u64::max).max(1)
}

/// The deadline, and the point of no return.
fn marks(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let freeze = report.phase(Phase::Freeze).and_then(|record| record.spans.first());
    if let Some(freeze) = freeze {
        axis.mark(m, "frozen", freeze.start_us, "freeze, the point of no return");
    }
    if let Some(deadline) = report.deadline_us.filter(|deadline| *deadline <= axis.end) {
        axis.mark(m, "due", deadline, "deadline");
    }
}

fn phases(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    if !report.threads.is_empty() {
        axis.group(m, "The phases", "of the finalization, in their order");
    }
    for record in &report.phases {
        let look = if record.overran { Look::PhaseOver } else { Look::Phase };
        let name = record.phase.name();
        let bars: Vec<_> = record.spans.iter().map(|&span| Bar { span, look }).collect();
        let who = format_args!("<span class=\"name\">{name}</span>");
        let hint = format_args!("the phase {name}");
        axis.lane(m, who, hint, Some(record.us()), |m| work(m, record), &bars);
    }
}

fn work(m: &mut Markup<'_>, record: &PhaseRecord) {
    let mut parts = 0;
    let mut part = |m: &mut Markup<'_>, what: std::fmt::Arguments<'_>| {
        m.put(format_args!("{}{what}", if parts > 0 { " · " } else { "" }));
        parts += 1;
    };
    if record.work > 0 {
        part(m, format_args!("{}", Count(record.work, record.phase.unit())));
    }
    if !record.handlers.is_empty() {
        part(m, format_args!("{}", Count(record.handlers.len() as u64, "handlers")));
    }
    if record.spans.len() > 1 {
        part(m, format_args!("{}", Count(record.spans.len() as u64, "passes")));
    }
    if record.overran {
        match record.budget_us {
            Some(budget) => {
                part(m, format_args!("<b class=\"bad\">over its budget of {}</b>", Time(budget)));
            }
            None => part(m, format_args!("<b class=\"bad\">cut short</b>")),
        }
    }
}

/// Handlers, callbacks, and what was not waited for.
fn host_code(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let Gathered { lanes, left_out } = runs(report, LANES);
    if lanes.is_empty() {
        return;
    }
    axis.group(m, "What the host's code ran", "handlers, and callbacks of 1 ms and longer");
    for run in &lanes {
        let note = |m: &mut Markup<'_>| m.put(format_args!("{}{}", run.phase.name(), run.outcome));
        let (who, hint) = (Name(run.what), Hint(run.what));
        axis.lane(m, format_args!("{who}"), format_args!("{hint}"), Some(run.us), note, &run.bars);
    }
    shorter(m, axis, left_out);
}

/// A lane for each thread, lock, guard or destination. A thread that was given up on goes on in it.
fn waited_for(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let Gathered { lanes, left_out } = waits(report, axis, LANES);
    if lanes.is_empty() {
        return;
    }
    axis.group(m, "What was waited for", "and who kept it");
    for wait in &lanes {
        let note = |m: &mut Markup<'_>| {
            m.put(format_args!("{}: {}", wait.phase.name(), Sentence(wait.outcome)));
        };
        let (who, hint) = (Sentence(wait.what), Hint(wait.what));
        axis.lane(
            m,
            format_args!("{who}"),
            format_args!("{hint}"),
            Some(wait.us),
            note,
            &wait.bars,
        );
    }
    shorter(m, axis, left_out);
}

fn shorter(m: &mut Markup<'_>, axis: &Axis, left_out: usize) {
    if left_out > 0 {
        axis.line(m, format_args!("… and {} shorter ones", Number(left_out as u64)));
    }
}

fn taken_over(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let more = usize::try_from(report.more_taken_over).unwrap_or(usize::MAX);
    let shown = report.taken_over.len().min(LANES);
    if shown == 0 && more == 0 {
        return;
    }
    axis.group(m, "Locks taken over", "from threads that will never run again");
    for lock in &report.taken_over[..shown] {
        let bar = Bar { span: Span { start_us: lock.at_us, us: 0 }, look: Look::TakenOver };
        let note = |m: &mut Markup<'_>| m.put(format_args!("after {}", Time(lock.at_us)));
        let (who, hint) = (Sentence(&lock.what), Hint(&lock.what));
        axis.lane(m, format_args!("{who}"), format_args!("{hint}"), None, note, &[bar]);
    }
    axis.more(m, (report.taken_over.len() - shown).saturating_add(more));
}

fn stopped(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let frozen = end_of(report, Phase::Freeze);
    let group = ("Threads that were stopped", "for good, at a checkpoint");
    until_the_end(m, axis, group, &report.stopped, |_| true, axis.rest(frozen, Look::Stopped));
}

/// Those that were waited for go on in the lanes of that.
fn still_inside(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let frozen = end_of(report, Phase::Freeze);
    let group = ("Not stopped, not closed", "nothing that these may touch was freed");
    let known: HashSet<_> = report.blocked.iter().map(|blocked| &blocked.what).collect();
    let is_new = |who: &String| !known.contains(who);
    until_the_end(m, axis, group, &report.runaways, is_new, axis.rest(frozen, Look::Inside));
}

fn until_the_end(
    m: &mut Markup<'_>,
    axis: &Axis,
    (title, more): (&str, &str),
    who: &[String],
    is_shown: impl Fn(&String) -> bool,
    bar: Bar,
) {
    let who: Vec<_> = who.iter().filter(|who| is_shown(who)).collect();
    if !who.is_empty() {
        axis.group(m, title, more);
        for who in who.iter().take(LANES) {
            let (who, hint) = (Sentence(who), Hint(who));
            axis.lane(m, format_args!("{who}"), format_args!("{hint}"), None, |_| (), &[bar]);
        }
        axis.more(m, who.len().saturating_sub(LANES));
    }
}

fn children(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    if report.children.is_empty() {
        return;
    }
    axis.group(m, "Children", "more of each below");
    for child in report.children.iter().take(LANES) {
        let start = start_of(report, child);
        let early = start.min(0).unsigned_abs();
        let start_us = u64::try_from(start).unwrap_or(0);
        let span = Span { start_us, us: child.total_us.saturating_sub(early) };
        let bad = child.status.is_error();
        let look = if bad { Look::ChildBad } else { Look::Child };
        let note = |m: &mut Markup<'_>| {
            m.put(format_args!("{}", if bad { "incomplete" } else { "complete" }));
            if early > 0 {
                m.put(format_args!(" · begun {} before, by another thread", Time(early)));
            }
        };
        let (who, hint) = (Name(&child.runtime), Hint(&child.runtime));
        let bars = [Bar { span, look }];
        axis.lane(
            m,
            format_args!("{who}"),
            format_args!("{hint}"),
            Some(child.total_us),
            note,
            &bars,
        );
    }
    axis.more(m, report.children.len().saturating_sub(LANES));
}

fn leaks(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    if report.leaks.is_empty() {
        return;
    }
    axis.group(m, "Kept on purpose", "a live thread or the kernel may still touch it");
    for leak in report.leaks.iter().take(LISTED) {
        let found = end_of(report, phase_of_leak(leak.kind));
        let note = |m: &mut Markup<'_>| {
            m.put(format_args!("{}", leak.kind.name()));
            if leak.bytes > 0 {
                m.put(format_args!(" · {}", Count(leak.bytes, "bytes")));
            }
        };
        let (who, hint) = (Name(&leak.name), Hint(&leak.name));
        let bars = [axis.rest(found, Look::Kept)];
        axis.lane(m, format_args!("{who}"), format_args!("{hint}"), None, note, &bars);
    }
    let more = report.leaks.len().saturating_sub(LISTED);
    if more > 0 {
        axis.line(m, format_args!("… and {} more, in the list below", Number(more as u64)));
    }
}
