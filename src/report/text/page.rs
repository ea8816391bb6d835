//! Lines laid out in columns, wrapped and coloured.

use super::TextStyle;
use Ink::{Bad, Bar, Bold, Good, Plain, Warn};

/// A text starts beside its columns only if it has this much room there.
const ROOM: usize = 20;

/// Lines under construction. Spaces wait in `gap` until something follows: none is left trailing.
pub struct Page {
    pub style: TextStyle,
    pub out: String,
    column: usize,
    gap: usize,
    /// Where lines begin.
    pub indent: usize,
    /// Whether the section "needs attention" has begun.
    pub attention: bool,
    /// The child that is written about.
    pub whose: Option<String>,
}

impl Page {
    pub fn new(style: TextStyle) -> Page {
        let (out, whose) = (String::new(), None);
        Page { style, out, column: 0, gap: 0, indent: 0, attention: false, whose }
    }

    pub fn attend(&mut self) {
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

    pub fn section_indent(&self) -> usize {
        if self.whose.is_some() { 4 } else { 2 }
    }

    pub fn section<T>(
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

    pub fn list<T>(
        &mut self,
        indent: usize,
        items: &[T],
        limit: usize,
        row: impl Fn(&Page, &T) -> Vec<Cell>,
    ) {
        let rows: Vec<_> = items.iter().take(limit).map(|item| row(self, item)).collect();
        self.rows(indent, &rows);
        if let Some(more) = self.style.more(items.len(), limit) {
            self.line(indent, &more, Plain);
        }
    }

    /// Writes rows with their columns aligned; the last cell of a row is a text that may wrap.
    pub fn rows(&mut self, indent: usize, rows: &[Vec<Cell>]) {
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

    pub fn line(&mut self, indent: usize, text: &str, ink: Ink) {
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

    pub fn newline(&mut self) {
        self.out.push('\n');
        (self.column, self.gap) = (0, 0);
    }
}

#[derive(Clone, Copy)]
pub enum Ink {
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

pub struct Cell {
    text: String,
    right: bool,
    ink: Ink,
}

impl Cell {
    pub fn ink(self, ink: Ink) -> Cell {
        Cell { ink, ..self }
    }
}

pub fn left(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), right: false, ink: Plain }
}

pub fn right(text: impl Into<String>) -> Cell {
    Cell { right: true, ..left(text) }
}

pub fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
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
