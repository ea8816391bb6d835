//! What the finalizing thread is in the middle of, for the watch to read without a lock.
//!
//! The finalizing thread writes, between two steps of a version; a reader that saw the same even
//! version before and after has read one entry. A writer that was stopped in the middle keeps the
//! reader waiting for nothing: after some tries it takes what it finds.

use super::NEVER;
use crate::phase::Phase;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use std::fmt::{self, Write};

/// What kind of thing the finalizing thread is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Activity {
    /// The library's own work.
    Own = 0,
    /// A callback of the host's.
    Callback = 1,
    /// The host's event callback.
    Event = 2,
    /// The finalization of a child.
    Child = 3,
    /// The report is written, to the place of this name.
    Report = 4,
}

/// One look at the board.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub activity: Activity,
    pub phase: Phase,
    /// When it began, and when it is told as an overrun; see [`super::Shared::us`].
    pub since_us: u64,
    pub due_us: u64,
    pub name: Name,
}

const NAME_WORDS: usize = 8;
const NAME_SIZE: usize = NAME_WORDS * 8;

/// The start of a name.
#[derive(Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; NAME_SIZE],
    len: usize,
}

impl Name {
    pub fn of(text: &str) -> Name {
        let mut name = Name { bytes: [0; NAME_SIZE], len: text.floor_char_boundary(NAME_SIZE) };
        name.bytes[..name.len].copy_from_slice(&text.as_bytes()[..name.len]);
        name
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Entry {
    /// The library's own work in `phase`.
    pub fn own(phase: Phase) -> Entry {
        Entry { activity: Activity::Own, phase, since_us: 0, due_us: NEVER, name: Name::of("") }
    }

    /// Writes what it is: `callback 'close the database'`.
    pub fn describe(&self, out: &mut impl Write) -> fmt::Result {
        write!(out, "{}", Named(self.activity, self.name.as_str()))
    }

    /// Writes what is waited for: `the callback 'close the database' in the phase atexit to return`.
    pub fn describe_wait(&self, out: &mut impl Write) -> fmt::Result {
        if self.activity == Activity::Report {
            return write!(out, "the report to be written to {}", self.name.as_str());
        }
        out.write_str("the ")?;
        self.describe(out)?;
        write!(out, " in the phase {} to return", self.phase.name())
    }
}

/// An activity with its name: `callback 'close the database'`; nothing for the library's own.
pub(super) struct Named<'a>(pub(super) Activity, pub(super) &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0 {
            Activity::Own => return Ok(()),
            Activity::Callback => "callback",
            Activity::Event => "event callback",
            Activity::Child => "child",
            Activity::Report => return write!(out, "writing the report to {}", self.1),
        };
        match self.1 {
            "" => write!(out, "{what} without a name"),
            name => write!(out, "{what} '{name}'"),
        }
    }
}

#[derive(Default)]
pub(super) struct Board {
    /// Odd while the rest is being written.
    version: AtomicU64,
    activity: AtomicU32,
    phase: AtomicU32,
    since_us: AtomicU64,
    due_us: AtomicU64,
    len: AtomicU32,
    name: [AtomicU64; NAME_WORDS],
}

impl Board {
    /// Only the finalizing thread writes.
    pub fn write(&self, entry: &Entry) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version | 1, Ordering::Relaxed);
        // Pairs with the fence in `read`: a reader that sees what follows sees the odd version.
        fence::release();
        self.activity.store(entry.activity as u32, Ordering::Relaxed);
        self.phase.store(entry.phase as u32, Ordering::Relaxed);
        self.since_us.store(entry.since_us, Ordering::Relaxed);
        self.due_us.store(entry.due_us, Ordering::Relaxed);
        self.len.store(entry.name.len as u32, Ordering::Relaxed);
        for (word, bytes) in self.name.iter().zip(entry.name.bytes.chunks_exact(8)) {
            word.store(u64::from_ne_bytes(bytes.try_into().unwrap_or_default()), Ordering::Relaxed);
        }
        // SeqCst: releases the above; and see `Shared::tell` for the turn.
        self.version.store((version | 1) + 1, Ordering::SeqCst);
    }

    /// Which entry stands there.
    pub fn version(&self) -> u64 {
        // SeqCst: the watch's half of the exchange in `Shared::tell`.
        self.version.load(Ordering::SeqCst)
    }

    /// The entry, and its version; an odd one if it may be a mixture.
    pub fn read(&self) -> (u64, Entry) {
        const TRIES: usize = 1000;
        let mut tries = 0;
        loop {
            // SeqCst, in `version`, is also the Acquire for the writer's last store.
            let version = self.version();
            let entry = self.copy();
            fence::acquire();
            let whole = version & 1 == 0 && self.version.load(Ordering::Relaxed) == version;
            tries += 1;
            if whole {
                return (version, entry);
            }
            if tries > TRIES {
                // An odd version, also if the writer was just between two entries.
                return (version | 1, entry);
            }
            std::hint::spin_loop();
        }
    }

    fn copy(&self) -> Entry {
        let mut name = Name { bytes: [0; NAME_SIZE], len: 0 };
        name.len = (self.len.load(Ordering::Relaxed) as usize).min(NAME_SIZE);
        for (word, bytes) in self.name.iter().zip(name.bytes.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        let activity = match self.activity.load(Ordering::Relaxed) {
            1 => Activity::Callback,
            2 => Activity::Event,
            3 => Activity::Child,
            4 => Activity::Report,
            _ => Activity::Own,
        };
        Entry {
            activity,
            phase: Phase::from_number(self.phase.load(Ordering::Relaxed)).unwrap_or(Phase::Guards),
            since_us: self.since_us.load(Ordering::Relaxed),
            due_us: self.due_us.load(Ordering::Relaxed),
            name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_never_mixes_two_entries() {
        let board = Board::default();
        let names = ["one", "the other, whose name is much longer than that of the first one"];
        let entry = |i: u64| Entry {
            activity: Activity::Callback,
            phase: Phase::AtExit,
            since_us: i,
            due_us: i * 3,
            name: Name::of(names[i as usize % 2]),
        };
        board.write(&entry(0));
        std::thread::scope(|scope| {
            scope.spawn(|| (1..200_000).for_each(|i| board.write(&entry(i))));
            let mut last = 0;
            while last < 199_999 {
                let (version, seen) = board.read();
                if version & 1 == 0 {
                    assert_eq!(seen.due_us, seen.since_us * 3);
                    let name = names[seen.since_us as usize % 2];
                    assert_eq!(seen.name.as_str(), &name[..name.len().min(NAME_SIZE)]);
                    assert!(seen.since_us >= last);
                    last = seen.since_us;
                }
            }
        });
    }

    #[test]
    fn a_writer_stopped_in_the_middle_does_not_stop_the_reader() {
        let board = Board::default();
        board.write(&Entry { activity: Activity::Callback, ..Entry::own(Phase::Freeze) });
        board.version.fetch_add(1, Ordering::Relaxed);
        let (version, seen) = board.read();
        assert_eq!(version & 1, 1);
        assert_eq!(seen.phase, Phase::Freeze);
    }
}
