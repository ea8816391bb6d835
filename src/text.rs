//! Text that a person reads, with names in it that anybody may have chosen.
//!
//! One rule for every outlet (events, lines on stderr, the last error, reports): a character that does not show, but
//! acts on the line or the terminal it comes to, never gets there. Where a text has a fixed size it becomes `?`;
//! where the form has escapes (reports as text, JSON and trace) it is escaped.

use std::fmt::{self, Display, Write};

/// Whether `c` acts instead of showing: control characters, line separators, what reverses the direction of the text
/// after it, and what takes no room, so that two different names look the same.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn shown(c: char) -> char {
    if is_unprintable(c) { '?' } else { c }
}

/// A value as it is shown.
pub struct Shown<T>(pub T);

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Filter<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Filter<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars().try_for_each(|c| self.0.write_char(shown(c)))
            }
        }
        write!(Filter(f), "{}", self.0)
    }
}

/// A text of at most `SIZE` bytes, put together without memory. What does not fit is cut off, between characters.
pub struct FixedText<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
    end: usize,
}

impl<const SIZE: usize> FixedText<SIZE> {
    /// Empty.
    pub fn new() -> FixedText<SIZE> {
        FixedText { bytes: [0; SIZE], len: 0, end: SIZE }
    }

    /// With what there is room for of `text`.
    pub fn of(text: fmt::Arguments<'_>) -> FixedText<SIZE> {
        let mut fixed = FixedText::new();
        fixed.put(text);
        fixed
    }

    /// Appends what there is room for of `text`.
    pub fn put(&mut self, text: fmt::Arguments<'_>) {
        // What it says is whether all had room.
        let _ = fmt::write(self, text);
    }

    /// What `write` appends is cut where the text has `end` bytes.
    pub fn room_for(&mut self, end: usize, write: impl FnOnce(&mut FixedText<SIZE>)) {
        self.end = end.min(SIZE);
        write(self);
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// The text as a line; a text without room for the newline loses its end to it.
    pub fn line(&mut self) -> &[u8] {
        let room = SIZE.saturating_sub(1);
        if self.len > room {
            self.len = self.as_str().floor_char_boundary(room);
        }
        self.bytes[self.len] = b'\n';
        &self.bytes[..=self.len]
    }
}

impl<const SIZE: usize> Default for FixedText<SIZE> {
    fn default() -> FixedText<SIZE> {
        FixedText::new()
    }
}

impl<const SIZE: usize> Write for FixedText<SIZE> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars().map(shown) {
            let size = c.len_utf8();
            if self.len + size > self.end {
                // Nothing that follows is put behind the cut.
                self.end = self.len;
                return Err(fmt::Error);
            }
            c.encode_utf8(&mut self.bytes[self.len..]);
            self.len += size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_replaced_and_what_shows_is_not() {
        let acts = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200f}\u{2028}\u{202e}\u{2060}\u{2066}\
                    \u{2069}\u{feff}\u{e0041}";
        let shows = "a ~é日本語\u{301}👩\u{10ffff}\u{3000}";
        assert!(acts.chars().all(is_unprintable));
        assert!(!shows.chars().any(is_unprintable));
        let text = FixedText::<100>::of(format_args!("<{acts}>"));
        assert_eq!(text.as_str(), format!("<{}>", "?".repeat(acts.chars().count())));
        assert_eq!(Shown(shows).to_string(), shows);
        assert_eq!(Shown(format_args!("a\nb{}", '\u{202e}')).to_string(), "a?b?");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_nothing_follows_the_cut() {
        let mut text = FixedText::<6>::of(format_args!("ééé"));
        assert_eq!(text.as_str(), "ééé");
        assert_eq!(text.line(), "éé\n".as_bytes());
        let mut text = FixedText::<6>::of(format_args!("{}{}", "abcdeé", "f"));
        assert_eq!(text.as_str(), "abcde");
        assert_eq!(text.line(), b"abcde\n");
        let mut text = FixedText::<20>::new();
        text.room_for(3, |text| text.put(format_args!("name")));
        text.room_for(20, |text| text.put(format_args!(" and more")));
        assert_eq!(text.line(), b"nam and more\n");
    }
}
