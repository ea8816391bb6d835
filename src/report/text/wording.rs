//! How names, times, numbers and bars are written.

use super::TextStyle;
use crate::text::is_unprintable;

/// How many characters of a reason are shown.
const SENTENCE: usize = 160;

/// How many of what was waited for, which may have a host's words in it: the functions that a thread was in.
const PLACE: usize = 480;

impl TextStyle {
    fn ellipsis(&self) -> &'static str {
        if self.colour { "…" } else { "..." }
    }

    /// The line after the first `limit` of a list, if it has more.
    pub fn more(&self, len: usize, limit: usize) -> Option<String> {
        (len > limit).then(|| format!("{} and {} more", self.ellipsis(), len - limit))
    }

    /// A name, short enough to share a line with the rest of its row.
    pub fn name(&self, name: &str) -> String {
        self.shown(name, self.width / 3)
    }

    /// A text that may wrap.
    pub fn sentence(&self, text: &str) -> String {
        self.shown(text, SENTENCE)
    }

    /// A text that says what was waited for, and where that was.
    pub fn place(&self, text: &str) -> String {
        self.shown(text, PLACE)
    }

    /// `text` with what is unprintable escaped, cut to `limit` characters.
    pub fn shown(&self, text: &str, limit: usize) -> String {
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
    pub fn time(&self, us: u64) -> String {
        let (per, unit) = match us {
            0..1_000 if self.colour => return format!("{us} µs"),
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
    pub fn bar(&self, part: u64, whole: u64, cells: usize) -> String {
        // An eighth of a cell is the finest step there is a block character for.
        let step = if self.colour { 8 } else { 1 };
        let all = cells as u128 * step;
        let filled = (u128::from(part) * all + u128::from(whole) / 2) / u128::from(whole.max(1));
        let filled = filled.min(all) as usize;
        if !self.colour {
            return "#".repeat(filled);
        }
        let last = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][filled % 8];
        "█".repeat(filled / 8) + last
    }
}

/// `1 leak`, `2 leaks`.
pub fn count(n: u64, units: &str) -> String {
    format!("{n} {}", unit(n, units))
}

/// `units` in the number that `n` asks for.
pub fn unit(n: u64, units: &str) -> &str {
    if n == 1 { units.strip_suffix('s').unwrap_or(units) } else { units }
}
