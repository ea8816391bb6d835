//! A short text that one thread publishes, for others to read without a lock.
//!
//! The writer makes the turn odd, changes the rest, and makes the turn even. A reader that saw the same even turn before
//! and after has read one text and no mixture. A reader that did not has met the writer, which may have been stopped
//! there; the reader gets that answer and does not wait.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Room for a text of eight bytes a word, and a number that belongs to it.
pub(crate) struct Published<const WORDS: usize> {
    /// Odd while the rest is being written.
    turn: AtomicU32,
    number: AtomicU64,
    len: AtomicU32,
    text: [AtomicU64; WORDS],
}

/// What was published.
pub(crate) struct Seen<const WORDS: usize> {
    pub(crate) number: u64,
    len: usize,
    text: [[u8; 8]; WORDS],
}

impl<const WORDS: usize> Seen<WORDS> {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text.as_flattened()[..self.len]).unwrap_or("")
    }
}

impl<const WORDS: usize> Published<WORDS> {
    /// The empty text, with the number 0.
    pub(crate) fn new() -> Published<WORDS> {
        Published {
            turn: AtomicU32::new(0),
            number: AtomicU64::new(0),
            len: AtomicU32::new(0),
            text: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Publishes what there is room for of `text`, with its number. One thread at a time calls it.
    pub(crate) fn write(&self, number: u64, text: &str) {
        let len = text.floor_char_boundary(WORDS * 8);
        let mut words = [[0; 8]; WORDS];
        words.as_flattened_mut()[..len].copy_from_slice(&text.as_bytes()[..len]);
        // Relaxed, all but the last: nobody else writes. After a fork the turn may be odd, because a thread that was not
        // copied was in the middle of a write; it is made even again.
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn | 1, Ordering::Relaxed);
        // Pairs with the fence in `read`: a reader that sees what follows sees the odd turn.
        fence::release();
        self.number.store(number, Ordering::Relaxed);
        self.len.store(len as u32, Ordering::Relaxed);
        for (word, part) in self.text.iter().zip(words) {
            word.store(u64::from_ne_bytes(part), Ordering::Relaxed);
        }
        // Release: who sees the even turn sees all of it.
        self.turn.store((turn | 1).wrapping_add(1), Ordering::Release);
    }

    /// The number, which may be that of a text that is just being written.
    pub(crate) fn number(&self) -> u64 {
        // Relaxed: it is a hint, and read again with the text.
        self.number.load(Ordering::Relaxed)
    }

    /// The published text; `None` while the writer replaces it. Allocates nothing.
    pub(crate) fn read(&self) -> Option<Seen<WORDS>> {
        // Acquire: pairs with the Release in `write`.
        let turn = self.turn.load(Ordering::Acquire);
        let seen = Seen {
            number: self.number.load(Ordering::Relaxed),
            len: (self.len.load(Ordering::Relaxed) as usize).min(WORDS * 8),
            text: std::array::from_fn(|at| self.text[at].load(Ordering::Relaxed).to_ne_bytes()),
        };
        // The text was read before the turn is asked again.
        fence::acquire();
        (turn & 1 == 0 && self.turn.load(Ordering::Relaxed) == turn).then_some(seen)
    }

    /// As if the writer had been stopped in the middle.
    #[cfg(test)]
    pub(crate) fn stop_the_writer(&self) {
        self.turn.fetch_or(1, Ordering::Relaxed);
    }
}
