//! What needs attention, a table each: the rows that the text report has, and more of them.

use super::super::restart::Hindrances;
use super::super::{Continuation, Report};
use super::markup::{Count, Markup, Name, Number, Sentence, Time};
use std::fmt::Arguments;

/// How many entries of a list are shown.
pub const LIST: usize = 200;

pub fn section(m: &mut Markup<'_>, report: &Report) {
    m.put(format_args!("<section class=\"lists\">\n<h2>What needs attention</h2>\n"));
    if !needs_attention(report) {
        m.put(format_args!("<p class=\"none\">Nothing.</p>\n"));
    }
    troubles(m, report);
    left_behind(m, report);
    numbers(m, report);
    m.put(format_args!("</section>\n"));
    not_waited_for(m, report);
    restartable(m, report);
}

fn needs_attention(report: &Report) -> bool {
    let lists = [
        report.phases.iter().any(|record| record.overran),
        !report.blocked.is_empty(),
        !report.failures.is_empty(),
        !report.skipped.is_empty(),
        report.continued.iter().any(|c| c.state != Continuation::Ended),
        !report.runaways.is_empty(),
        !report.undetached.is_empty(),
        !report.leaks.is_empty(),
        !report.resurrected.is_empty(),
        !report.violations.is_empty(),
        report.late_calls > 0,
        report.unnoted > 0,
        !report.unreported.is_empty(),
        report.missing_bytes() > 0,
    ];
    lists.contains(&true)
}

fn troubles(m: &mut Markup<'_>, report: &Report) {
    if report.missing_bytes() > 0 {
        let missing = Count(report.missing_bytes(), "bytes");
        line(
            m,
            format_args!("{missing} missing: the table above says of which destination, and why"),
        );
    }
    let overran: Vec<_> = report.phases.iter().filter(|record| record.overran).collect();
    table(m, "Out of time", &["phase", "#took", "#budget"], &overran, |m, record| {
        text(m, format_args!("<code>{}</code>", record.phase.name()));
        number(m, format_args!("{}", Time(record.us())));
        match record.budget_us {
            Some(budget) => number(m, format_args!("{}", Time(budget))),
            None => number(m, format_args!("none")),
        }
    });
    let columns = ["phase", "#after", "#for", "what was waited for", "outcome"];
    table(m, "Waited for", &columns, &report.blocked, |m, b| {
        text(m, format_args!("<code>{}</code>", b.phase.name()));
        number(m, format_args!("{}", Time(b.start_us)));
        number(m, format_args!("{}", Time(b.us)));
        text(m, format_args!("{}", Sentence(&b.what)));
        text(m, format_args!("{}", Sentence(&b.outcome)));
    });
    table(m, "Failed", &["phase", "callback or handler", "how"], &report.failures, |m, f| {
        text(m, format_args!("<code>{}</code>", f.phase.name()));
        text(m, format_args!("{}", Name(&f.name)));
        text(m, format_args!("{}", Sentence(&f.how)));
    });
    table(m, "Skipped for want of time", &["phase", "handler"], &report.skipped, |m, s| {
        text(m, format_args!("<code>{}</code>", s.phase.name()));
        text(m, format_args!("{}", Name(&s.name)));
    });
    let not_ended = report.continued.iter().filter(|c| c.state != Continuation::Ended);
    let not_ended: Vec<_> = not_ended.collect();
    let columns = ["phase", "handler", "#took", "outcome"];
    table(m, "Not waited for", &columns, &not_ended, |m, c| {
        text(m, format_args!("<code>{}</code>", c.phase.name()));
        text(m, format_args!("{}", Name(&c.name)));
        number(m, format_args!("{}", Time(c.us)));
        text(m, format_args!("{}", Sentence(&c.outcome())));
    });
}

fn left_behind(m: &mut Markup<'_>, report: &Report) {
    let who = |m: &mut Markup<'_>, who: &String| text(m, format_args!("{}", Sentence(who)));
    let title = "Threads still inside, guards still open: nothing they may touch was freed";
    table(m, title, &["who"], &report.runaways, who);
    table(m, "Threads that ended without detaching", &["who"], &report.undetached, who);

    let columns = ["what", "whose", "#bytes", "why it was kept"];
    table(m, "Leaked on purpose", &columns, &report.leaks, |m, leak| {
        text(m, format_args!("{}", leak.kind.name()));
        text(m, format_args!("{}", Name(&leak.name)));
        match leak.bytes {
            0 => number(m, format_args!("unknown")),
            bytes => number(m, format_args!("{}", Number(bytes))),
        }
        text(m, format_args!("{}", Sentence(&leak.reason)));
    });
    let bytes = report.leaks.iter().fold(0u64, |sum, leak| sum.saturating_add(leak.bytes));
    if bytes > 0 {
        let more = report.leaks.iter().any(|leak| leak.bytes == 0);
        let at_least = if more { "at least " } else { "" };
        line(m, format_args!("leaked on purpose: {at_least}{} in all", Count(bytes, "bytes")));
    }

    let title = "Brought back to life by their finalize, and not deallocated";
    table(m, title, &["object", "#how many"], &report.resurrected, |m, r| {
        text(m, format_args!("{}", Name(&r.object)));
        number(m, format_args!("{}", Number(r.count)));
    });
    let columns = ["object", "call", "#how often"];
    let title = "Runtime calls refused inside dealloc";
    table(m, title, &columns, &report.violations, |m, v| {
        text(m, format_args!("{}", Name(&v.object)));
        text(m, format_args!("{}", Name(&v.call)));
        number(m, format_args!("{}", Number(v.count)));
    });
}

fn numbers(m: &mut Markup<'_>, report: &Report) {
    if report.late_calls > 0 {
        line(m, format_args!("late calls refused: {}", Number(report.late_calls)));
    }
    if report.unnoted > 0 {
        let unnoted = Number(report.unnoted);
        line(m, format_args!("and {unnoted} more, for which there was no memory"));
    }
    if !report.unreported.is_empty() {
        line(m, format_args!("{}", Sentence(&report.unreported)));
    }
}

/// Handlers that ran beside the finalization and had ended well when it was over.
fn not_waited_for(m: &mut Markup<'_>, report: &Report) {
    let ended = report.continued.iter().filter(|c| c.state == Continuation::Ended);
    let ended: Vec<_> = ended.collect();
    if ended.is_empty() {
        return;
    }
    m.put(format_args!("<section class=\"lists\">\n"));
    table(m, "Not waited for, and ended", &["phase", "handler", "#took"], &ended, |m, c| {
        text(m, format_args!("<code>{}</code>", c.phase.name()));
        text(m, format_args!("{}", Name(&c.name)));
        number(m, format_args!("{}", Time(c.us)));
    });
    m.put(format_args!("</section>\n"));
}

/// Whether the runtime can be initialised again. What is in the way and listed above is not named again.
fn restartable(m: &mut Markup<'_>, report: &Report) {
    m.put(format_args!("<section class=\"again\">\n<h2>Can it be initialised again?</h2>\n"));
    if report.not_restartable.is_empty() {
        m.put(format_args!("<p>Yes.</p>\n</section>\n"));
        return;
    }
    m.put(format_args!("<p>No, because of:</p>\n<ul>\n"));
    let hindrances = Hindrances::of(report);
    let others = &hindrances.others;
    for (count, what, how) in hindrances.listed() {
        m.put(format_args!("<li>{}{how}, listed above</li>\n", Count(count, what)));
    }
    for other in others.iter().take(LIST) {
        m.put(format_args!("<li>{}</li>\n", Sentence(other)));
    }
    m.put(format_args!("</ul>\n"));
    m.more(others.len(), LIST, "reasons");
    m.put(format_args!("</section>\n"));
}

/// A table of the first entries; nothing if there are none. A column with `#` before it has numbers.
fn table<T>(
    m: &mut Markup<'_>,
    title: &str,
    columns: &[&str],
    items: &[T],
    row: impl Fn(&mut Markup<'_>, &T),
) {
    if items.is_empty() {
        return;
    }
    let count = Number(items.len() as u64);
    m.put(format_args!("<div class=\"list\"><h3>{title} <small>{count}</small></h3>\n"));
    m.put(format_args!("<div class=\"wide\"><table><thead><tr>"));
    for column in columns {
        match column.strip_prefix('#') {
            Some(column) => m.put(format_args!("<th class=\"n\">{column}</th>")),
            None => m.put(format_args!("<th>{column}</th>")),
        }
    }
    m.put(format_args!("</tr></thead>\n<tbody>\n"));
    for item in items.iter().take(LIST) {
        m.put(format_args!("<tr>"));
        row(m, item);
        m.put(format_args!("</tr>\n"));
    }
    m.put(format_args!("</tbody></table></div>\n"));
    m.more(items.len(), LIST, "of these");
    m.put(format_args!("</div>\n"));
}

fn text(m: &mut Markup<'_>, text: Arguments<'_>) {
    m.put(format_args!("<td>{text}</td>"));
}

fn number(m: &mut Markup<'_>, number: Arguments<'_>) {
    m.put(format_args!("<td class=\"n\">{number}</td>"));
}

fn line(m: &mut Markup<'_>, text: Arguments<'_>) {
    m.put(format_args!("<p class=\"line\">{text}</p>\n"));
}
