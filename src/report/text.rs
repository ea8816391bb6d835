//! The report as text: what a person reads first, perhaps at three in the morning.
//!
//! Nothing a host names can fake a line of it: names are escaped and cut before they are laid out.

use super::{Continuation, PhaseRecord, Report};
use Ink::{Bad, Bar, Bold, Good, Plain, Warn};

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
/// How many characters of a reason are shown.
const SENTENCE: usize = 160;
/// Children of children are indented down to this generation.
const DEEPEST: usize = 4;
/// The widest bar.
const BAR: usize = 24;
/// A text starts beside its columns only if it has this much room there.
const ROOM: usize = 20;

/// The report as lines of text, each with its newline.
pub fn to_text(report: &Report, style: TextStyle) -> String {
    let style = TextStyle { width: style.width.max(60), ..style };
    let mut page = Page {
        style,
        out: String::new(),
        column: 0,
        gap: 0,
        indent: 0,
        attention: false,
        whose: None,
    };
    headline(&mut page, report);
    phases(&mut page, report);
    trouble(&mut page, report);
    if !report.children.is_empty() {
        page.newline();
        page.line(0, "children", Bold);
        children(&mut page, report, 1);
    }
    page.newline();
    let because = &report.not_restartable;
    if because.is_empty() {
        page.line(0, "restartable: yes", Plain);
    } else {
        let mut reasons: Vec<_> = because.iter().take(LIST).map(|r| page.sentence(r)).collect();
        reasons.extend(page.more(because.len(), LIST));
        page.line(0, &format!("restartable: no, because {}", reasons.join("; ")), Warn);
    }
    let recovered: Vec<_> = report.destinations.iter().filter(|d| d.recovered > 0).collect();
    let ended = report.continued.iter().filter(|c| c.state == Continuation::Ended);
    page.list(0, &ended.collect::<Vec<_>>(), LIST, |page, c| {
        let name = format!("by {}", page.name(&c.name));
        vec![left("not waited for:"), right(page.time(c.us)), left(name)]
    });
    page.list(0, &recovered, LIST, |page, d| {
        let name = format!("of {}", page.name(&d.name));
        vec![left("recovered:"), right(count(d.recovered, "bytes")), left(name)]
    });
    let inherited: Vec<_> = report.destinations.iter().filter(|d| d.left_to_parent > 0).collect();
    page.list(0, &inherited, LIST, |page, d| {
        let name = format!("of {}", page.name(&d.name));
        vec![left("left to the parent:"), right(count(d.left_to_parent, "bytes")), left(name)]
    });
    page.out
}

/// A line for each child, and what needs attention in it. Those that are incomplete are all shown.
fn children(page: &mut Page, report: &Report, depth: usize) {
    let indent = std::mem::replace(&mut page.indent, 2 * depth.min(DEEPEST));
    let mut complete = 0;
    for child in &report.children {
        complete += usize::from(!child.status.is_error());
        if child.status.is_error() || complete <= LIST {
            headline(page, child);
            page.whose = Some(page.name(&child.runtime));
            page.attention = false;
            trouble(page, child);
            children(page, child, depth + 1);
        }
    }
    if let Some(more) = page.more(complete, LIST) {
        page.line(0, &more, Plain);
    }
    page.indent = indent;
}

fn headline(page: &mut Page, report: &Report) {
    let incomplete = report.status.is_error();
    let done = if incomplete { "finalized, incomplete," } else { "finalized" };
    let mut rest = format!(": {done} in {}", page.time(report.total_us));
    let passes = (report.passes > 1).then(|| format!("{} passes", report.passes));
    let deadline = report.deadline_us.map(|deadline| {
        let passed = if report.total_us > deadline { " passed" } else { "" };
        format!("deadline {}{passed}", page.time(deadline))
    });
    let more: Vec<_> = passes.into_iter().chain(deadline).collect();
    if !more.is_empty() {
        rest += &format!(" ({})", more.join(", "));
    }
    let room = page.style.width.saturating_sub(page.indent + rest.chars().count()).max(8);
    let name = page.shown(&report.runtime, room);
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
            right(page.time(record.us())),
            left(page.bar(record.us(), report.total_us, bar)).ink(Bar),
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
            left(page.name(&d.name)),
            right(some(d.unwritten, "unwritten")),
            right(some(d.in_flight, "in flight")),
            left(if d.reason.is_empty() { String::new() } else { page.sentence(&d.reason) }),
        ]
    });

    let overran: Vec<_> = report.phases.iter().filter(|record| record.overran).collect();
    page.section("over budget", &overran, LIST, |page, record| {
        let why = match (record.budget_us, report.deadline_us) {
            (Some(budget), _) if record.us() >= budget => format!("budget {}", page.time(budget)),
            (_, Some(_)) => "when the deadline passed".to_owned(),
            _ => String::new(),
        };
        vec![left(record.phase.name()), right(page.time(record.us())), left(why)]
    });

    page.section("waited for", &report.blocked, LIST, |page, b| {
        let text = format!("{}: {}", page.sentence(&b.what), page.sentence(&b.outcome));
        vec![left(b.phase.name()), right(page.time(b.us)), left(text)]
    });

    page.section("failed", &report.failures, LIST, |page, f| {
        vec![left(f.phase.name()), left(page.name(&f.name)), left(page.sentence(&f.how))]
    });

    page.section("skipped for want of time", &report.skipped, LIST, |page, skipped| {
        vec![left(skipped.phase.name()), left(page.name(&skipped.name))]
    });

    let not_ended = report.continued.iter().filter(|c| c.state != Continuation::Ended);
    let left_alone: Vec<_> = not_ended.collect();
    page.section("not waited for", &left_alone, LIST, |page, c| {
        let (time, outcome) = (right(page.time(c.us)), left(page.sentence(&c.outcome())));
        vec![left(c.phase.name()), left(page.name(&c.name)), time, outcome]
    });

    let only_name = |page: &Page, name: &String| vec![left(page.sentence(name))];
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
        let reason = page.sentence(&leak.reason);
        vec![left(leak.kind.name()), left(page.name(&leak.name)), right(size), left(reason)]
    });

    let title = "brought back to life by their finalize, and not deallocated";
    page.section(title, &report.resurrected, LIST, |page, r| {
        vec![left(page.name(&r.object)), right(count(r.count, "objects"))]
    });

    page.section("runtime calls refused inside dealloc", &report.violations, LIST, |page, v| {
        let call = page.name(&v.call);
        vec![left(page.name(&v.object)), left(call), right(count(v.count, "calls"))]
    });

    if report.late_calls > 0 {
        page.attend();
        let indent = page.section_indent();
        page.line(indent, &format!("late calls refused: {}", report.late_calls), Bold);
    }
}

/// Lines under construction. Spaces wait in `gap` until something follows: none is left trailing.
struct Page {
    style: TextStyle,
    out: String,
    column: usize,
    gap: usize,
    /// Where lines begin.
    indent: usize,
    attention: bool,
    /// The child that is written about.
    whose: Option<String>,
}

impl Page {
    fn attend(&mut self) {
        if !std::mem::replace(&mut self.attention, true) {
            match self.whose.clone() {
                None => {
                    self.newline();
                    self.line(0, "needs attention", Warn);
                }
                Some(child) => self.line(2, &format!("needs attention in {child}"), Warn),
            }
        }
    }

    fn section_indent(&self) -> usize {
        if self.whose.is_some() { 4 } else { 2 }
    }

    fn section<T>(
        &mut self,
        title: &str,
        items: &[T],
        limit: usize,
        row: impl Fn(&Page, &T) -> Vec<Cell>,
    ) {
        if !items.is_empty() {
            self.attend();
            let indent = self.section_indent();
            self.line(indent, title, Bold);
            self.list(indent + 2, items, limit, row);
        }
    }

    fn list<T>(
        &mut self,
        indent: usize,
        items: &[T],
        limit: usize,
        row: impl Fn(&Page, &T) -> Vec<Cell>,
    ) {
        let rows: Vec<_> = items.iter().take(limit).map(|item| row(self, item)).collect();
        self.rows(indent, &rows);
        if let Some(more) = self.more(items.len(), limit) {
            self.line(indent, &more, Plain);
        }
    }

    /// Writes rows with their columns aligned; the last cell of a row is a text that may wrap.
    fn rows(&mut self, indent: usize, rows: &[Vec<Cell>]) {
        let widths = widths(rows);
        for row in rows {
            let Some((last, columns)) = row.split_last() else { continue };
            self.gap = self.indent + indent;
            for (cell, &width) in columns.iter().zip(&widths) {
                let pad = width - cell.text.chars().count();
                self.gap += if cell.right { pad } else { 0 };
                self.put(&cell.text, cell.ink);
                self.gap += if cell.right { 0 } else { pad };
                self.gap += if width > 0 { 2 } else { 0 };
            }
            self.flow(&last.text, self.indent + indent + 2, last.ink);
        }
    }

    fn line(&mut self, indent: usize, text: &str, ink: Ink) {
        self.gap = self.indent + indent;
        self.flow(text, self.gap + 2, ink);
    }

    /// Ends the line with `text`, wrapped to further lines indented by `hang` if need be.
    fn flow(&mut self, mut text: &str, hang: usize, ink: Ink) {
        loop {
            let room = self.style.width.saturating_sub(self.column + self.gap);
            let (head, tail) = split(text, room);
            self.put(head, ink);
            self.newline();
            if tail.is_empty() {
                return;
            }
            (text, self.gap) = (tail, hang);
        }
    }

    fn put(&mut self, text: &str, ink: Ink) {
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        self.out.extend(std::iter::repeat_n(' ', self.gap));
        self.column += self.gap + text.chars().count();
        self.gap = 0;
        match ink.code().filter(|_| self.style.colour) {
            Some(code) => self.out.extend(["\x1b[", code, "m", text, "\x1b[0m"]),
            None => self.out.push_str(text),
        }
    }

    fn newline(&mut self) {
        self.out.push('\n');
        (self.column, self.gap) = (0, 0);
    }

    fn ellipsis(&self) -> &'static str {
        if self.style.colour { "…" } else { "..." }
    }

    fn more(&self, len: usize, limit: usize) -> Option<String> {
        (len > limit).then(|| format!("{} and {} more", self.ellipsis(), len - limit))
    }

    /// A name, short enough to share a line with the rest of its row.
    fn name(&self, name: &str) -> String {
        self.shown(name, self.style.width / 3)
    }

    fn sentence(&self, text: &str) -> String {
        self.shown(text, SENTENCE)
    }

    /// `text` with what is unprintable escaped, cut to `limit` characters.
    fn shown(&self, text: &str, limit: usize) -> String {
        let mut escaped = String::new();
        for c in text.trim_matches(' ').chars() {
            if is_unprintable(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
        }
        if escaped.trim().is_empty() {
            return "(not given)".to_owned();
        }
        if escaped.chars().count() > limit {
            let keep = limit.saturating_sub(self.ellipsis().chars().count());
            escaped = escaped.chars().take(keep).collect::<String>() + self.ellipsis();
        }
        escaped
    }

    /// A time to three digits, cut and not rounded, so that 999.9 ms is not `1000 ms`.
    fn time(&self, us: u64) -> String {
        let (per, unit) = match us {
            0..1_000 if self.style.colour => return format!("{us} µs"),
            0..1_000 => return format!("{us} us"),
            1_000..1_000_000 => (1_000, "ms"),
            1_000_000..60_000_000 => (1_000_000, "s"),
            _ => return format!("{} min {:02} s", us / 60_000_000, us / 1_000_000 % 60),
        };
        let (whole, rest) = (us / per, us % per);
        match whole {
            0..10 => format!("{whole}.{:02} {unit}", rest * 100 / per),
            10..100 => format!("{whole}.{} {unit}", rest * 10 / per),
            _ => format!("{whole} {unit}"),
        }
    }

    /// `part` of `whole` as a bar of at most `cells`.
    fn bar(&self, part: u64, whole: u64, cells: usize) -> String {
        // An eighth of a cell is the finest step there is a block character for.
        let step = if self.style.colour { 8 } else { 1 };
        let all = cells as u128 * step;
        let filled = (u128::from(part) * all + u128::from(whole) / 2) / u128::from(whole.max(1));
        let filled = filled.min(all) as usize;
        if !self.style.colour {
            return "#".repeat(filled);
        }
        let last = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][filled % 8];
        "█".repeat(filled / 8) + last
    }
}

#[derive(Clone, Copy)]
enum Ink {
    Plain,
    Bold,
    Good,
    Warn,
    Bad,
    Bar,
}

impl Ink {
    fn code(self) -> Option<&'static str> {
        match self {
            Plain => None,
            Bold => Some("1"),
            Good => Some("1;32"),
            Warn => Some("1;33"),
            Bad => Some("1;31"),
            Bar => Some("36"),
        }
    }
}

struct Cell {
    text: String,
    right: bool,
    ink: Ink,
}

impl Cell {
    fn ink(self, ink: Ink) -> Cell {
        Cell { ink, ..self }
    }
}

fn left(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), right: false, ink: Plain }
}

fn right(text: impl Into<String>) -> Cell {
    Cell { right: true, ..left(text) }
}

fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text.chars().count().max(*width);
        }
    }
    widths
}

/// Where to break `text` so that its first part has at most `room` characters.
fn split(text: &str, room: usize) -> (&str, &str) {
    let Some((cut, _)) = text.char_indices().nth(room) else { return (text, "") };
    let end = cut + usize::from(text[cut..].starts_with(' '));
    let space = text[..end].rfind(' ').filter(|&at| at > 0);
    let at = space.unwrap_or(if room < ROOM { 0 } else { cut });
    (&text[..at], text[at..].trim_start())
}

fn count(n: u64, units: &str) -> String {
    format!("{n} {}", unit(n, units))
}

fn unit(n: u64, units: &str) -> &str {
    if n == 1 { units.strip_suffix('s').unwrap_or(units) } else { units }
}

/// Whether `c` acts on a terminal or a line instead of showing: control characters, line
/// separators, and what reverses the direction of the text after it.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
}
