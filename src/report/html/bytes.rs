//! Where every byte went: a row and a bar for each destination, and totals that add up.

use super::super::{Destination, Report};
use super::markup::{Count, Markup, Name, Number, Percent, Sentence};

/// How many destinations that lack nothing are shown. Those with missing bytes all are: law 3.
const WHOLE: usize = 200;

/// A column of numbers: its title, and its number of a destination.
type Column = (&'static str, fn(&Destination) -> u64);

const COLUMNS: [Column; 7] = [
    ("accepted", |d| d.accepted),
    ("written", |d| d.written),
    ("in flight", |d| d.in_flight),
    ("unwritten", |d| d.unwritten),
    ("by finalization", |d| d.flushed),
    ("recovered", |d| d.recovered),
    ("left to the parent", |d| d.left_to_parent),
];

/// Of them, how many a destination's bytes add up from; the others are parts of those, or another process's.
const SUM: usize = 4;

pub fn section(m: &mut Markup<'_>, report: &Report) {
    if report.destinations.is_empty() {
        return;
    }
    m.put(format_args!("<section class=\"bytes\">\n<h2>Where every byte went</h2>\n"));
    legend(m);
    m.put(format_args!("<div class=\"wide\"><table>\n<thead><tr><th>destination</th>"));
    m.put(format_args!("<th class=\"fate\">its bytes</th>"));
    for (at, (column, _)) in COLUMNS.iter().enumerate() {
        let class = if at < SUM { "n" } else { "n part" };
        m.put(format_args!("<th class=\"{class}\">{column}</th>"));
    }
    m.put(format_args!("</tr></thead>\n<tbody>\n"));
    let is_short = |d: &&Destination| d.unwritten > 0 || d.in_flight > 0;
    report.destinations.iter().filter(is_short).for_each(|d| row(m, d));
    let whole = report.destinations.iter().filter(|d| !is_short(d));
    let all = whole.clone().count();
    whole.clone().take(WHOLE).for_each(|d| row(m, d));
    if all > WHOLE {
        let rest = sums(whole.skip(WHOLE));
        let name = format_args!("… and {} more, whose bytes all arrived", all - WHOLE);
        m.put(format_args!("<tr class=\"more\"><td>{name}</td>"));
        numbers(m, &rest);
    }
    m.put(format_args!("</tbody>\n<tfoot>\n<tr><td>{} in all</td>", {
        Count(report.destinations.len() as u64, "destinations")
    }));
    let total = sums(report.destinations.iter());
    numbers(m, &total);
    m.put(format_args!("</tfoot>\n</table></div>\n"));
    balance(m, &total);
    m.put(format_args!("</section>\n"));
}

fn legend(m: &mut Markup<'_>) {
    m.put(format_args!("<p class=\"legend\">"));
    for (class, what) in [
        ("ok", "written"),
        ("rec", "written, from a lock that was taken over"),
        ("fly", "in flight"),
        ("lost", "unwritten"),
    ] {
        m.put(format_args!("<span><i class=\"key {class}\"></i> {what}</span> "));
    }
    m.put(format_args!("</p>\n"));
}

fn sums<'a>(destinations: impl Iterator<Item = &'a Destination> + Clone) -> Destination {
    let sum = |field: fn(&Destination) -> u64| {
        destinations.clone().map(field).fold(0, u64::saturating_add)
    };
    Destination {
        accepted: sum(|d| d.accepted),
        written: sum(|d| d.written),
        flushed: sum(|d| d.flushed),
        recovered: sum(|d| d.recovered),
        unwritten: sum(|d| d.unwritten),
        in_flight: sum(|d| d.in_flight),
        left_to_parent: sum(|d| d.left_to_parent),
        ..Destination::default()
    }
}

fn row(m: &mut Markup<'_>, d: &Destination) {
    let class = if d.unwritten > 0 {
        "lost"
    } else if d.in_flight > 0 {
        "fly"
    } else {
        "whole"
    };
    m.put(format_args!("<tr class=\"{class}\"><td>{}", Name(&d.name)));
    if !d.reason.is_empty() {
        m.put(format_args!("<small>{}</small>", Sentence(&d.reason)));
    }
    m.put(format_args!("</td>"));
    numbers(m, d);
}

/// The bar and the numbers of a row, and its end.
fn numbers(m: &mut Markup<'_>, d: &Destination) {
    m.put(format_args!("<td class=\"fate\"><span class=\"fate\">"));
    let recovered = d.recovered.min(d.written);
    let parts = [
        ("ok", d.written - recovered),
        ("rec", recovered),
        ("fly", d.in_flight),
        ("lost", d.unwritten),
    ];
    let whole = parts.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
    for (class, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
        m.put(format_args!("<i class=\"{class}\" style=\"--w:{}\"></i>", Percent(bytes, whole)));
    }
    m.put(format_args!("</span></td>"));
    for (at, (_, number)) in COLUMNS.iter().enumerate() {
        let (number, part) = (number(d), if at < SUM { "" } else { " part" });
        let zero = if number == 0 { " zero" } else { "" };
        m.put(format_args!("<td class=\"n{part}{zero}\">{}</td>", Number(number)));
    }
    m.put(format_args!("</tr>\n"));
}

fn balance(m: &mut Markup<'_>, total: &Destination) {
    let fates = [total.written, total.in_flight, total.unwritten];
    let known = fates.into_iter().fold(0, u64::saturating_add);
    let [written, in_flight, unwritten] = fates.map(Number);
    m.put(format_args!(
        "<p class=\"balance\">{} accepted = {written} written + {in_flight} in flight + {unwritten} unwritten.",
        Number(total.accepted),
    ));
    if known == total.accepted {
        m.put(format_args!(" No byte is unaccounted for."));
    } else {
        let off = Count(known.abs_diff(total.accepted), "bytes");
        m.put(format_args!(" <b class=\"bad\">The two sides differ by {off}.</b>"));
    }
    m.put(format_args!("</p>\n"));
}
