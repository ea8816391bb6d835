//! What a reader wants to know first: whether the end was a good one, and if not, why, in sentences.

use super::super::Report;
use super::markup::{Count, Markup, Name, Number, Sentence, Time};
use crate::report::ledger::LeakKind;

/// How many of a kind are named in the verdict; the tables have the rest.
const NAMED: usize = 3;

/// What took so much of the time is named: one part of so many.
pub const WORTH_NAMING: u64 = 10;

/// And no less than this, in microseconds.
const NOTICED: u64 = 10_000;

/// How it ended, in few words.
pub fn outcome(report: &Report) -> &'static str {
    if report.status.is_error() { "ended, but not everything could be done" } else { "ended well" }
}

/// How long it took, of how much time.
pub fn time_taken(m: &mut Markup<'_>, report: &Report) {
    m.put(format_args!("It took <b>{}</b>", Time(report.total_us)));
    match report.deadline_us {
        Some(deadline) if report.total_us > deadline => {
            m.put(format_args!("; its deadline of {} had passed", Time(deadline)));
        }
        Some(deadline) => m.put(format_args!(" of the {} it was given", Time(deadline))),
        None => m.put(format_args!(", without a deadline")),
    }
    if report.passes > 1 {
        let passes = Number(report.passes.into());
        m.put(format_args!(", and went {passes} times round before the freeze"));
    }
    m.put(format_args!(". "));
}

/// The reasons, a sentence each; of a good end, what it was.
pub fn reasons(m: &mut Markup<'_>, report: &Report) {
    m.put(format_args!("<ul class=\"reasons\">\n"));
    if report.status.is_error() {
        lost_bytes(m, report);
        time_over(m, report);
        failures(m, report);
        left_inside(m, report);
        children(m, report);
    } else {
        good_end(m, report);
    }
    time_went_to(m, report);
    besides(m, report);
    m.put(format_args!("</ul>\n"));
}

/// The longest waits, if they were a good part of the whole.
fn time_went_to(m: &mut Markup<'_>, report: &Report) {
    let long = |blocked: &&super::super::Blocked| {
        blocked.us >= NOTICED && blocked.us >= report.total_us / WORTH_NAMING
    };
    let all: Vec<_> = report.blocked.iter().filter(long).collect();
    // A callback that waited for something is named by that.
    let is_named_by = |what: &str, other: &str| what != other && what.contains(other);
    let mut longest: Vec<_> = all.clone();
    longest.retain(|one| !all.iter().any(|other| is_named_by(&one.what, &other.what)));
    longest.sort_by_key(|blocked| std::cmp::Reverse(blocked.us));
    let more = longest.len().saturating_sub(NAMED);
    for blocked in longest.into_iter().take(NAMED) {
        let (us, what, how) =
            (Time(blocked.us), Sentence(&blocked.what), Sentence(&blocked.outcome));
        m.put(format_args!("<li>Waited <b>{us}</b> for {what}: <small>{how}</small></li>\n"));
    }
    if more > 0 {
        m.put(format_args!("<li>… and for {} more.</li>\n", Number(more as u64)));
    }
}

fn good_end(m: &mut Markup<'_>, report: &Report) {
    if report.missing_bytes() == 0 {
        m.put(format_args!("<li>Every accepted byte arrived.</li>\n"));
    }
    if report.failures.is_empty() {
        m.put(format_args!("<li>No callback failed.</li>\n"));
    }
    if report.runaways.is_empty() {
        m.put(format_args!("<li>No thread was left running inside.</li>\n"));
    }
}

fn lost_bytes(m: &mut Markup<'_>, report: &Report) {
    let missing = report.missing_bytes();
    if missing == 0 {
        return;
    }
    let is_missing = |d: &&super::super::Destination| d.unwritten > 0 || d.in_flight > 0;
    let all = report.destinations.iter().filter(is_missing);
    let in_flight = all.clone().fold(0u64, |sum, d| sum.saturating_add(d.in_flight));
    m.put(format_args!("<li><b>{}</b> for ", Count(missing, "bytes")));
    list(m, all.clone().count(), all.map(|d| d.name.as_str()), "destinations");
    m.put(format_args!(" did not arrive"));
    if in_flight == missing {
        m.put(format_args!(": they are in calls that have not returned, and may still arrive"));
    } else if in_flight > 0 {
        m.put(format_args!(
            "; {} of them are in calls that have not returned, and may still arrive",
            Number(in_flight)
        ));
    }
    m.put(format_args!(".</li>\n"));
}

fn time_over(m: &mut Markup<'_>, report: &Report) {
    if let Some(deadline) = report.deadline_us.filter(|deadline| report.total_us > *deadline) {
        m.put(format_args!("<li>The deadline of {} passed.</li>\n", Time(deadline)));
    }
    let overran = report.phases.iter().filter(|record| record.overran);
    for (at, record) in overran.clone().enumerate() {
        let before = if at == 0 { "<li>Out of time: " } else { ", " };
        let (name, us) = (record.phase.name(), Time(record.us()));
        m.put(format_args!("{before}<code>{name}</code> after {us}"));
    }
    if overran.count() > 0 {
        m.put(format_args!(".</li>\n"));
    }
}

fn failures(m: &mut Markup<'_>, report: &Report) {
    let Some(more) = report.failures.len().checked_sub(1) else { return };
    let first = &report.failures[0];
    let (name, how) = (Name(&first.name), Sentence(&first.how));
    m.put(format_args!("<li>Failed: {name}, {how}"));
    if more > 0 {
        m.put(format_args!("; and {} more", Number(more as u64)));
    }
    m.put(format_args!(".</li>\n"));
}

fn left_inside(m: &mut Markup<'_>, report: &Report) {
    let Some(more) = report.runaways.len().checked_sub(1) else { return };
    m.put(format_args!("<li>Still there after the freeze: {}", Sentence(&report.runaways[0])));
    match more {
        0 => m.put(format_args!(". Nothing that it may touch was freed.</li>\n")),
        _ => m.put(format_args!(
            "; and {} other threads or guards. Nothing that they may touch was freed.</li>\n",
            Number(more as u64)
        )),
    }
}

fn children(m: &mut Markup<'_>, report: &Report) {
    let incomplete = report.children.iter().filter(|child| child.status.is_error());
    let names = incomplete.clone().map(|child| child.runtime.as_str());
    if let count @ 1.. = incomplete.count() {
        m.put(format_args!("<li>Not everything could be done in "));
        list(m, count, names, "children");
        m.put(format_args!(".</li>\n"));
    }
    let left = report.leaks.iter().filter(|leak| leak.kind == LeakKind::Child);
    if let count @ 1.. = left.clone().count() {
        m.put(format_args!("<li>Left to go on: "));
        list(m, count, left.map(|leak| leak.name.as_str()), "children");
        m.put(format_args!(".</li>\n"));
    }
}

/// What nobody should overlook, however it ended.
fn besides(m: &mut Markup<'_>, report: &Report) {
    if let count @ 1.. = report.unnoted {
        m.put(format_args!(
            "<li>There was no memory to note {} more failures, waits or leaks.</li>\n",
            Number(count)
        ));
    }
    if !report.unreported.is_empty() {
        m.put(format_args!("<li>{}.</li>\n", Sentence(&report.unreported)));
    }
}

/// The first names, and how many more there are.
fn list<'a>(
    m: &mut Markup<'_>,
    count: usize,
    names: impl Iterator<Item = &'a str>,
    what: &'static str,
) {
    for (at, name) in names.take(NAMED).enumerate() {
        m.put(format_args!("{}{}", if at > 0 { ", " } else { "" }, Name(name)));
    }
    if count > NAMED {
        m.put(format_args!(" and {} more {what}", Number((count - NAMED) as u64)));
    }
}
