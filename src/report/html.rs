//! The report as one page for a browser.
//!
//! The page needs nothing but itself: no file beside it, no network, no script. Its policy forbids all three, so what
//! is in a name could not act even if it got through. It is also well-formed XML. Data is in the markup, as text.
//!
//! Lists and lanes show their first entries and count the rest, so that a page of thousands stays usable.
//! Destinations that lack bytes, and children that are incomplete, are all there.

mod bytes;
mod lanes;
mod lists;
mod markup;
mod verdict;

use super::Report;
use crate::status::Result;
use crate::sys::memory::spare;
use markup::{Count, Escaped, Markup, NAME, Name, Number, STYLE, Size, Time};

const STYLE_SHEET: &str = include_str!("html/page.css");

/// How many children that could do everything are shown.
const COMPLETE: usize = 20;

/// The report as an HTML page.
///
/// # Errors
/// `NoMemory`.
pub fn to_html(report: &Report) -> Result<String> {
    // What shares a lane is brought together in lists, each time.
    spare(report.size())?;
    let mut size = Size::default();
    page(&mut Markup::new(&mut size), report);
    spare(size.0.saturating_add(report.size()))?;
    let mut text = String::with_capacity(size.0);
    page(&mut Markup::new(&mut text), report);
    Ok(text)
}

fn page(m: &mut Markup<'_>, report: &Report) {
    let name = Escaped(STYLE.shown(&report.runtime, NAME));
    m.put(format_args!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{name}: {}</title>\n<style>\n{STYLE_SHEET}</style>\n</head>\n<body>\n",
        verdict::outcome(report)
    ));
    m.put(format_args!(
        "<header class=\"{}\">\n<p class=\"kicker\">Report of a finalization</p>\n",
        state(report)
    ));
    m.put(format_args!(
        "<h1>{} {}</h1>\n<p class=\"lead\">",
        Name(&report.runtime),
        verdict::outcome(report)
    ));
    verdict::time_taken(m, report);
    m.put(format_args!("</p>\n"));
    verdict::reasons(m, report);
    facts(m, report);
    m.put(format_args!("</header>\n<main>\n"));
    body(m, report);
    m.put(format_args!(
        "</main>\n<footer><p>Names are cut after {NAME} characters, a list ends after {} entries, and a group of \
         lanes after {}, with a line that counts the rest. All there is to say is in the JSON form: <code>RTFINALIZE_REPORT=json:PATH</code>. Written by \
         rtfinalize {}.</p></footer>\n</body>\n</html>\n",
        lists::LIST,
        lanes::LANES,
        env!("CARGO_PKG_VERSION")
    ));
}

const fn state(report: &Report) -> &'static str {
    if report.status.is_error() { "bad" } else { "good" }
}

/// The sections about one runtime.
fn body(m: &mut Markup<'_>, report: &Report) {
    lanes::section(m, report);
    bytes::section(m, report);
    lists::section(m, report);
    children(m, report);
}

/// The numbers that everybody looks for.
fn facts(m: &mut Markup<'_>, report: &Report) {
    let sum = |field: fn(&super::Destination) -> u64| {
        report.destinations.iter().map(field).fold(0, u64::saturating_add)
    };
    let missing = report.missing_bytes();
    let alarm = |bad: bool| if bad { " class=\"bad\"" } else { "" };
    m.put(format_args!("<dl class=\"facts\">"));
    m.put(format_args!("<div><dt>time</dt><dd>{}</dd></div>", Time(report.total_us)));
    m.put(format_args!(
        "<div><dt>bytes accepted</dt><dd>{}</dd></div>",
        Number(sum(|d| d.accepted))
    ));
    m.put(format_args!(
        "<div{}><dt>bytes missing</dt><dd>{}</dd></div>",
        alarm(missing > 0),
        Number(missing)
    ));
    m.put(format_args!(
        "<div><dt>bytes recovered</dt><dd>{}</dd></div>",
        Number(sum(|d| d.recovered))
    ));
    let counts = [
        ("failures", report.failures.len(), true),
        ("runaways", report.runaways.len(), true),
        ("leaks", report.leaks.len(), false),
    ];
    for (what, count, is_bad) in counts {
        let bad = alarm(is_bad && count > 0);
        m.put(format_args!("<div{bad}><dt>{what}</dt><dd>{}</dd></div>", Number(count as u64)));
    }
    let again = if report.not_restartable.is_empty() { "yes" } else { "no" };
    m.put(format_args!("<div><dt>restartable</dt><dd>{again}</dd></div></dl>\n"));
}

/// Each child with all its sections; those that are incomplete are all shown, and open.
fn children(m: &mut Markup<'_>, report: &Report) {
    if report.children.is_empty() {
        return;
    }
    let count = Count(report.children.len() as u64, "children");
    m.put(format_args!("<section class=\"children\">\n<h2>Children <small>{count}</small></h2>\n"));
    let mut complete = 0;
    for child in &report.children {
        let incomplete = child.status.is_error();
        complete += usize::from(!incomplete);
        if incomplete || complete <= COMPLETE {
            let open = if incomplete { " open=\"open\"" } else { "" };
            m.put(format_args!(
                "<details class=\"{}\"{open}><summary>{} {} <small>{}</small></summary>\n<div class=\"lead\">",
                state(child),
                Name(&child.runtime),
                verdict::outcome(child),
                Time(child.total_us)
            ));
            verdict::time_taken(m, child);
            m.put(format_args!("</div>\n"));
            verdict::reasons(m, child);
            body(m, child);
            m.put(format_args!("</details>\n"));
        }
    }
    m.more(complete, COMPLETE, "that could do everything");
    m.put(format_args!("</section>\n"));
}
