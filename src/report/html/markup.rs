//! How a page is written: what is text in it, and what is markup.
//!
//! A page is written twice, first to be measured and then into memory of that size, so it goes to whatever takes
//! text. What a host named comes in through [`Name`] and [`Sentence`] only: what is unprintable is escaped by the
//! rule of all reports, then what HTML and XML would act on; and it is isolated, so that letters that run from right
//! to left do not turn its neighbours round.

use super::super::TextStyle;
use std::fmt::{self, Display, Formatter, Write};

/// Times, names and reasons are written as on a terminal, whose width does not matter here.
pub const STYLE: TextStyle = TextStyle::terminal(usize::MAX);

/// How many characters of a name are shown.
pub const NAME: usize = 100;
/// How many characters of a reason are shown, or of what was waited for, with the functions that a thread was in.
pub const SENTENCE: usize = 480;

/// A page under construction.
pub struct Markup<'a> {
    out: &'a mut dyn Write,
    numbers: u32,
}

impl Markup<'_> {
    /// A page that is written to `out`.
    pub fn new(out: &mut dyn Write) -> Markup<'_> {
        Markup { out, numbers: 0 }
    }

    /// Appends markup; in it, text is what escapes itself.
    pub fn put(&mut self, markup: fmt::Arguments<'_>) {
        // Neither a string nor a count of bytes refuses anything.
        let _ = self.out.write_fmt(markup);
    }

    /// A number that no other element of the page has.
    pub fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Ends a list of which only `shown` entries are on the page.
    pub fn more(&mut self, all: usize, shown: usize, what: &str) {
        if all > shown {
            let more = Number((all - shown) as u64);
            self.put(format_args!("<p class=\"more\">… and {more} more {what}</p>\n"));
        }
    }
}

/// Counts bytes.
#[derive(Default)]
pub struct Size(pub usize);

impl Write for Size {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

/// A text in which neither HTML nor XML finds markup, in an element or in an attribute.
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        struct Filter<'a, 'b>(&'a mut Formatter<'b>);
        impl Write for Filter<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars().try_for_each(|c| match c {
                    '&' => self.0.write_str("&amp;"),
                    '<' => self.0.write_str("&lt;"),
                    '>' => self.0.write_str("&gt;"),
                    '"' => self.0.write_str("&quot;"),
                    '\'' => self.0.write_str("&#39;"),
                    // The two that XML forbids and that are not unprintable.
                    '\u{fffe}' | '\u{ffff}' => write!(self.0, "{}", c.escape_unicode()),
                    c => self.0.write_char(c),
                })
            }
        }
        write!(Filter(f), "{}", self.0)
    }
}

/// A name that a host chose.
pub struct Name<'a>(pub &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = STYLE.shown(self.0, NAME);
        write!(f, "<bdi class=\"name\">{}</bdi>", Escaped(shown))
    }
}

/// A text that may have names of a host's in it.
pub struct Sentence<'a>(pub &'a str);

impl Display for Sentence<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<bdi>{}</bdi>", Escaped(STYLE.shown(self.0, SENTENCE)))
    }
}

/// A name or text of a host's inside an attribute, where no element can isolate it.
pub struct Hint<'a>(pub &'a str);

impl Display for Hint<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(STYLE.shown(self.0, SENTENCE)))
    }
}

/// A time to three digits.
pub struct Time(pub u64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&STYLE.time(self.0))
    }
}

/// A number to all its digits, from 10000 on in groups of three.
pub struct Number(pub u64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const NARROW_SPACE: char = '\u{202f}';
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if digits.len() > 4 && at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(NARROW_SPACE)?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// `1 leak`, `2 leaks`.
pub struct Count<'a>(pub u64, pub &'a str);

impl Display for Count<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Count(n, units) = *self;
        let unit = if n == 1 { units.strip_suffix('s').unwrap_or(units) } else { units };
        write!(f, "{} {unit}", Number(n))
    }
}

/// A part of a whole, as CSS has it.
pub struct Percent(pub u64, pub u64);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Percent(part, whole) = *self;
        let share = part as f64 / whole.max(1) as f64 * 100.0;
        write!(f, "{:.3}%", share.min(100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_nothing_else_wherever_it_stands() {
        let name = Name("</bdi><script>\"a'&b\n\u{202e}\u{ffff}").to_string();
        let expected = "<bdi class=\"name\">&lt;/bdi&gt;&lt;script&gt;&quot;a&#39;&amp;b\\n\\u{202e}\\u{ffff}</bdi>";
        assert_eq!(name, expected);
        assert_eq!(Hint("\" onclick='x").to_string(), "&quot; onclick=&#39;x");
        assert_eq!(Name(" ").to_string(), "<bdi class=\"name\">(not given)</bdi>");
        let long = Name(&"<".repeat(500)).to_string();
        assert_eq!(long.matches("&lt;").count(), NAME - 1);
    }

    #[test]
    fn a_number_has_all_its_digits() {
        let shown = [0, 999, 4096, 65_536, 1_234_567, u64::MAX].map(|n| Number(n).to_string());
        let expected =
            ["0", "999", "4096", "65\u{202f}536", "1\u{202f}234\u{202f}567"].map(str::to_owned);
        assert_eq!(shown[..5], expected);
        assert_eq!(shown[5].replace('\u{202f}', ""), u64::MAX.to_string());
        assert_eq!(Count(1, "leaks").to_string(), "1 leak");
        assert_eq!(Count(0, "leaks").to_string(), "0 leaks");
        assert_eq!(Percent(1, 8).to_string(), "12.500%");
        assert_eq!(Percent(u64::MAX, 0).to_string(), "100.000%");
    }
}
