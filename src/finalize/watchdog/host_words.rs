//! What a host adds to a line about its callbacks, and to their entries in the report: where in its own code the
//! finalizing thread is.
//!
//! The report is written after the call, when the thread is nowhere any more. So the watch keeps the words of its
//! looks on a [slip](Slip), from which the finalizing thread takes them when the callback has returned.

use super::status_cell::{Activity, Entry};
use crate::runtime::Runtime;
use crate::sync::seqlock::Published;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::text::FixedText;
use std::fmt;

/// Writes at most so many bytes of text, and answers how many. It runs on the watch thread, beside the finalizing
/// one, with neither heap nor thread-locals.
pub(crate) type Describe = extern "C" fn(text: *mut u8, size: usize) -> usize;

/// A [`Describe`], or 0; and the number of the runtime whose callbacks it describes.
static DESCRIBE: AtomicUsize = AtomicUsize::new(0);
static DESCRIBED: AtomicU32 = AtomicU32::new(0);

const WORDS: usize = 40;
const SIZE: usize = WORDS * 8;

pub(crate) fn set(runtime: u32, describe: Option<Describe>) {
    // No function is asked about another's runtime while the two change.
    DESCRIBE.store(0, Ordering::SeqCst);
    DESCRIBED.store(runtime, Ordering::SeqCst);
    // Release: the number, and what the function reads, were written before.
    DESCRIBE.store(describe.map_or(0, |describe| describe as usize), Ordering::Release);
}

/// What the host says; as a value it is shown after a comma, or not at all when it is empty.
#[derive(Default)]
pub(super) struct Said(FixedText<SIZE>);

impl Said {
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn of(bytes: &[u8]) -> Said {
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        };
        Said(FixedText::of(format_args!("{valid}")))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            text => write!(out, ", {text}"),
        }
    }
}

/// Asks where a callback of the described runtime is; of anything else nothing is said. Allocates nothing.
pub(super) fn ask_about(entry: &Entry, runtime: &Runtime) -> Said {
    let describe = DESCRIBE.load(Ordering::Acquire);
    if describe == 0
        || DESCRIBED.load(Ordering::Acquire) != runtime.id()
        || entry.activity != Activity::Callback
    {
        return Said::default();
    }
    // SAFETY: what is stored is 0 or came from a `Describe`.
    let describe = unsafe { std::mem::transmute::<usize, Describe>(describe) };
    let mut text = [0; SIZE];
    let len = describe(text.as_mut_ptr(), SIZE).min(SIZE);
    Said::of(&text[..len])
}

/// What the host said of one entry of the board, which is known by its version; no entry has the version 0. The watch
/// thread alone writes.
pub(super) struct Slip(Published<WORDS>);

impl Default for Slip {
    fn default() -> Slip {
        Slip(Published::new())
    }
}

impl Slip {
    /// Keeps what was said while the entry of this version stood on the board. Nothing said replaces no words.
    pub fn keep(&self, about: u64, said: &Said) {
        if !said.is_empty() || self.0.number() != about {
            self.0.write(about, said.0.as_str());
        }
    }

    /// What was said of the entry of this version; `None` if the watch never spoke of it. The finalizing thread, which
    /// asks, never waits for the watch: if it has met a write some times in a row it goes without the words.
    pub fn about(&self, version: u64) -> Option<Said> {
        const TRIES: usize = 1000;
        // Of most entries nothing is kept.
        if self.0.number() != version {
            return None;
        }
        for _ in 0..TRIES {
            if let Some(kept) = self.0.read() {
                return (kept.number == version).then(|| Said::of(kept.as_str().as_bytes()));
            }
            std::hint::spin_loop();
        }
        Some(Said::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_their_entry_and_never_a_mixture() {
        let slip = Slip::default();
        let words = |version: u64| match version % 2 {
            0 => format!("{version} short"),
            _ => format!(
                "{version} {}",
                "and long, so that it takes many words to write it".repeat(6)
            ),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for version in 1..100_000 {
                    slip.keep(version, &Said::of(words(version).as_bytes()));
                }
            });
            let mut version = 1;
            while version < 99_999 {
                version = slip.0.number().max(1);
                if let Some(said) = slip.about(version).filter(|said| !said.is_empty()) {
                    assert_eq!(said.0.as_str(), words(version));
                }
            }
        });
    }

    #[test]
    fn what_is_said_first_stays_when_later_looks_find_nothing() {
        let slip = Slip::default();
        assert!(slip.about(2).is_none());
        slip.keep(2, &Said::of(b"in f\xff"));
        slip.keep(2, &Said::default());
        assert_eq!(slip.about(2).unwrap().to_string(), ", in f");
        slip.keep(4, &Said::default());
        assert!(slip.about(2).is_none());
        assert!(slip.about(4).unwrap().is_empty());
    }

    #[test]
    fn a_writer_stopped_in_the_middle_does_not_stop_the_reader() {
        let slip = Slip::default();
        slip.keep(2, &Said::of(b"in f"));
        slip.0.stop_the_writer();
        assert!(slip.about(2).unwrap().is_empty());
        slip.keep(2, &Said::of(b"in g"));
        assert_eq!(slip.about(2).unwrap().to_string(), ", in g");
    }
}
