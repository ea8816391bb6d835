//! The report as text: what a person reads first, perhaps at three in the morning.
//!
//! Nothing a host names can fake a line of it: names are escaped and cut before they are laid out.

mod page;
mod wording;

use super::restart::Hindrances;
use super::{Continuation, PhaseRecord, Report};
use page::Ink::{Bad, Bar, Bold, Good, Plain, Warn};
use page::{Page, left, right, widths};
use wording::{count, unit};

/// How a text report looks.
///
/// With colour it is for a terminal, which shows Unicode: block bars, `µs`, `…`. Without, it may
/// end up in a log, a mail or a console whose encoding nobody knows, so all but the host's own names
/// is ASCII: `#`, `us`, `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Whether to use ANSI colours and Unicode.
    pub colour: bool,
    /// How many columns a line may have, 60 at least; a character counts as one column. A line is
    /// wider only where its numbers do not fit: they are never cut.
    pub width: usize,
}

impl TextStyle {
    /// For files and pipes: no colour, 80 columns.
    pub const fn plain() -> TextStyle {
        TextStyle { colour: false, width: 80 }
    }

    /// For a terminal of `width` columns.
    pub const fn terminal(width: usize) -> TextStyle {
        TextStyle { colour: true, width }
    }
}

/// How many entries of a list are shown. Destinations with missing bytes are all shown: law 3.
const LIST: usize = 20;
/// Children of children are indented down to this generation.
const DEEPEST: usize = 4;
/// The widest bar.
const BAR: usize = 24;
/// The report as lines of text, each with its newline.
pub fn to_text(report: &Report, style: TextStyle) -> String {
    let style = TextStyle { width: style.width.max(60), ..style };
    let mut page = Page::new(style);
    if let Some(number) = super::output::number() {
        page.line(0, &format!("process {number}"), Plain);
    }
    headline(&mut page, report);
    phases(&mut page, report);
    trouble(&mut page, report);
    if !report.children.is_empty() {
        page.newline();
        page.line(0, "children", Bold);
        children(&mut page, report, 1);
    }
    page.newline();
    restartable(&mut page, report);
    let recovered: Vec<_> = report.destinations.iter().filter(|d| d.recovered > 0).collect();
    let ended = report.continued.iter().filter(|c| c.state == Continuation::Ended);
    page.list(0, &ended.collect::<Vec<_>>(), LIST, |page, c| {
        let name = format!("by {}", page.style.name(&c.name));
        vec![left("not waited for:"), right(page.style.time(c.us)), left(name)]
    });
    page.list(0, &recovered, LIST, |page, d| {
        let name = format!("of {}", page.style.name(&d.name));
        vec![left("recovered:"), right(count(d.recovered, "bytes")), left(name)]
    });
    let inherited: Vec<_> = report.destinations.iter().filter(|d| d.left_to_parent > 0).collect();
    page.list(0, &inherited, LIST, |page, d| {
        let name = format!("of {}", page.style.name(&d.name));
        vec![left("left to the parent:"), right(count(d.left_to_parent, "bytes")), left(name)]
    });
    page.out
}

/// Whether the runtime can be initialised again. What is in the way and listed above is not named again.
fn restartable(page: &mut Page, report: &Report) {
    if report.not_restartable.is_empty() {
        page.line(0, "restartable: yes", Plain);
        return;
    }
    let hindrances = Hindrances::of(report);
    let listed: Vec<_> = hindrances.listed().map(|(n, what, how)| count(n, what) + how).collect();
    let mut reasons = Vec::new();
    if !listed.is_empty() {
        reasons.push(format!("of {} (listed above)", listed.join(", ")));
    }
    let others = &hindrances.others;
    reasons.extend(others.iter().take(LIST).map(|reason| page.style.sentence(reason)));
    reasons.extend(page.style.more(others.len(), LIST));
    page.line(0, &format!("restartable: no, because {}", reasons.join("; ")), Warn);
}

/// A line for each child, and what needs attention in it. Those that are incomplete are all shown.
fn children(page: &mut Page, report: &Report, depth: usize) {
    let indent = std::mem::replace(&mut page.indent, 2 * depth.min(DEEPEST));
    let mut complete = 0;
    for child in &report.children {
        complete += usize::from(!child.status.is_error());
        if child.status.is_error() || complete <= LIST {
            headline(page, child);
            page.whose = Some(page.style.name(&child.runtime));
            page.attention = false;
            trouble(page, child);
            children(page, child, depth + 1);
        }
    }
    if let Some(more) = page.style.more(complete, LIST) {
        page.line(0, &more, Plain);
    }
    page.indent = indent;
}

fn headline(page: &mut Page, report: &Report) {
    let incomplete = report.status.is_error();
    let done = if incomplete { "finalized, incomplete," } else { "finalized" };
    let mut rest = format!(": {done} in {}", page.style.time(report.total_us));
    let passes = (report.passes > 1).then(|| format!("{} passes", report.passes));
    let deadline = report.deadline_us.map(|deadline| {
        let passed = if report.total_us > deadline { " passed" } else { "" };
        format!("deadline {}{passed}", page.style.time(deadline))
    });
    let more: Vec<_> = passes.into_iter().chain(deadline).collect();
    if !more.is_empty() {
        rest += &format!(" ({})", more.join(", "));
    }
    let room = page.style.width.saturating_sub(page.indent + rest.chars().count()).max(8);
    let name = page.style.shown(&report.runtime, room);
    page.line(0, &(name + &rest), if incomplete { Bad } else { Good });
}

fn phases(page: &mut Page, report: &Report) {
    if report.phases.is_empty() {
        return;
    }
    page.newline();
    let digits = report.phases.iter().map(|r| r.work.to_string().len()).max().unwrap_or(0);
    let row = |record: &PhaseRecord, bar: usize| {
        let work = match record.work {
            0 => String::new(),
            n => format!("{n:>digits$} {}", unit(n, record.phase.unit())),
        };
        let handlers = match record.handlers.len() as u64 {
            0 => String::new(),
            n => count(n, "handlers"),
        };
        let mark = if record.overran { "over budget" } else { "" };
        vec![
            left(record.phase.name()),
            right(page.style.time(record.us())),
            left(page.style.bar(record.us(), report.total_us, bar)).ink(Bar),
            left(work),
            left(handlers),
            left(mark).ink(Bad),
        ]
    };
    let rows = |bar| report.phases.iter().map(|record| row(record, bar)).collect::<Vec<_>>();
    // The bars take what the other columns leave.
    let used: usize = widths(&rows(0)).iter().map(|width| width + 2).sum();
    let rows = rows(page.style.width.saturating_sub(used + 2).min(BAR));
    page.rows(2, &rows);
}

/// The section "needs attention", if anything does.
fn trouble(page: &mut Page, report: &Report) {
    let missing: Vec<_> =
        report.destinations.iter().filter(|d| d.unwritten > 0 || d.in_flight > 0).collect();
    let in_flight = missing.iter().fold(0u64, |sum, d| sum.saturating_add(d.in_flight));
    let mut title = format!("bytes missing: {}", report.missing_bytes());
    if in_flight > 0 {
        title += &format!(" ({in_flight} of them in flight: they may still arrive)");
    }
    page.section(&title, &missing, usize::MAX, |page, d| {
        let some = |n, what| if n > 0 { format!("{n} {what}") } else { String::new() };
        vec![
            left(page.style.name(&d.name)),
            right(some(d.unwritten, "unwritten")),
            right(some(d.in_flight, "in flight")),
            left(if d.reason.is_empty() { String::new() } else { page.style.sentence(&d.reason) }),
        ]
    });

    let overran: Vec<_> = report.phases.iter().filter(|record| record.overran).collect();
    page.section("over budget", &overran, LIST, |page, record| {
        let why = match (record.budget_us, report.deadline_us) {
            (Some(budget), _) if record.us() >= budget => {
                format!("budget {}", page.style.time(budget))
            }
            (_, Some(_)) => "when the deadline passed".to_owned(),
            _ => String::new(),
        };
        vec![left(record.phase.name()), right(page.style.time(record.us())), left(why)]
    });

    page.section("waited for", &report.blocked, LIST, |page, b| {
        let text = format!("{}: {}", page.style.place(&b.what), page.style.sentence(&b.outcome));
        vec![left(b.phase.name()), right(page.style.time(b.us)), left(text)]
    });

    page.section("failed", &report.failures, LIST, |page, f| {
        vec![
            left(f.phase.name()),
            left(page.style.name(&f.name)),
            left(page.style.sentence(&f.how)),
        ]
    });

    page.section("skipped for want of time", &report.skipped, LIST, |page, skipped| {
        vec![left(skipped.phase.name()), left(page.style.name(&skipped.name))]
    });

    let not_ended = report.continued.iter().filter(|c| c.state != Continuation::Ended);
    let left_alone: Vec<_> = not_ended.collect();
    page.section("not waited for", &left_alone, LIST, |page, c| {
        let (time, outcome) =
            (right(page.style.time(c.us)), left(page.style.sentence(&c.outcome())));
        vec![left(c.phase.name()), left(page.style.name(&c.name)), time, outcome]
    });

    let only_name = |page: &Page, name: &String| vec![left(page.style.sentence(name))];
    let title = "threads still inside, guards still open (nothing they may touch was freed)";
    page.section(title, &report.runaways, LIST, only_name);
    page.section("threads that ended without detaching", &report.undetached, LIST, only_name);

    let bytes = report.leaks.iter().fold(0u64, |sum, leak| sum.saturating_add(leak.bytes));
    let at_least = if report.leaks.iter().any(|leak| leak.bytes == 0) { "at least " } else { "" };
    let leaks = count(report.leaks.len() as u64, "leaks");
    let title = format!("leaked on purpose: {leaks}, {at_least}{}", count(bytes, "bytes"));
    page.section(&title, &report.leaks, LIST, |page, leak| {
        let size =
            if leak.bytes == 0 { "size unknown".to_owned() } else { count(leak.bytes, "bytes") };
        let reason = page.style.sentence(&leak.reason);
        vec![left(leak.kind.name()), left(page.style.name(&leak.name)), right(size), left(reason)]
    });

    let title = "brought back to life by their finalize, and not deallocated";
    page.section(title, &report.resurrected, LIST, |page, r| {
        vec![left(page.style.name(&r.object)), right(count(r.count, "objects"))]
    });

    page.section("runtime calls refused inside dealloc", &report.violations, LIST, |page, v| {
        let call = page.style.name(&v.call);
        vec![left(page.style.name(&v.object)), left(call), right(count(v.count, "calls"))]
    });

    if report.unnoted > 0 {
        page.attend();
        let indent = page.section_indent();
        let more = format!("and {} more, for which there was no memory", report.unnoted);
        page.line(indent, &more, Bold);
    }

    if !report.unreported.is_empty() {
        page.attend();
        let indent = page.section_indent();
        page.line(indent, &page.style.sentence(&report.unreported), Bold);
    }

    if report.late_calls > 0 {
        page.attend();
        let indent = page.section_indent();
        page.line(indent, &format!("late calls refused: {}", report.late_calls), Bold);
    }
}
