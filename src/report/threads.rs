//! What the host's threads did while the finalization went on, as far as the host looked.
//!
//! The host says what a thread does when it looks at it. Looks that see the same make one stretch, which lasts until the
//! look that sees something else; so a stretch is as exact as the looks are frequent.

use super::Span;
use crate::status::{Result, Status};
use crate::sys::memory::{try_name, try_put};
use std::time::{Duration, Instant};

/// How many threads are noted.
const MOST_THREADS: usize = 1024;

/// How many changes of a thread are noted.
const MOST_CHANGES: usize = 256;

/// What a thread was seen doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ThreadState {
    /// It ran.
    Running = 1,
    /// It waited for something.
    Waiting = 2,
    /// It was stopped for good.
    Stopped = 3,
    /// It had ended.
    Ended = 4,
}

impl ThreadState {
    /// The state of this number.
    pub fn from_number(number: u32) -> Option<ThreadState> {
        use ThreadState::{Ended, Running, Stopped, Waiting};
        [Running, Waiting, Stopped, Ended].into_iter().find(|state| *state as u32 == number)
    }

    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            ThreadState::Running => "running",
            ThreadState::Waiting => "waiting",
            ThreadState::Stopped => "stopped",
            ThreadState::Ended => "ended",
        }
    }
}

/// A time in which a thread did one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Whether it ran, waited or was stopped.
    pub state: ThreadState,
    /// Where it was and what it waited for, in the host's words; may be empty.
    pub what: String,
    /// When.
    pub span: Span,
}

/// A thread of the host's, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRecord {
    /// What the host calls it.
    pub name: String,
    /// What it did, the first thing first. A thread that ended has no stretch after that.
    pub stretches: Vec<Stretch>,
    /// How many more changes there were. The last stretch goes up to the first of them.
    pub more: u64,
}

impl ThreadRecord {
    /// How long it was in this state, in microseconds.
    pub fn us_in(&self, state: ThreadState) -> u64 {
        let those = self.stretches.iter().filter(|one| one.state == state);
        those.fold(0, |sum, one| sum.saturating_add(one.span.us))
    }

    /// How long it ran or waited, in microseconds.
    pub fn active_us(&self) -> u64 {
        self.us_in(ThreadState::Running).saturating_add(self.us_in(ThreadState::Waiting))
    }
}

struct Change {
    at: Instant,
    state: ThreadState,
    what: String,
}

struct Thread {
    number: u64,
    name: String,
    changes: Vec<Change>,
    more: u64,
    /// When what is noted last was over, if what came then is not noted.
    end: Option<Instant>,
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The looks of a host at its threads.
pub(crate) struct Looks {
    threads: Vec<Thread>,
    more_threads: u64,
}

impl Looks {
    pub(crate) const fn new() -> Looks {
        Looks { threads: Vec::new(), more_threads: 0 }
    }

    /// At `at` the thread of this number was seen in this state. A thread that has ended leaves its number to another.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn note(
        &mut self,
        (number, name): (u64, &str),
        (state, what): (ThreadState, &str),
        at: Instant,
    ) -> Result<()> {
        let no_memory = || Status::NoMemory.error();
        let is_alive = |thread: &Thread| {
            thread.changes.last().is_none_or(|last| last.state != ThreadState::Ended)
        };
        let known = |thread: &Thread| thread.number == number && is_alive(thread);
        let index = match self.threads.iter().position(known) {
            Some(index) => index,
            None if state == ThreadState::Ended => return Ok(()),
            None if self.threads.len() == MOST_THREADS => {
                self.more_threads += 1;
                return Ok(());
            }
            None => {
                let name = try_name(name).ok_or_else(no_memory)?;
                let thread = Thread { number, name, changes: Vec::new(), more: 0, end: None };
                if !try_put(&mut self.threads, thread) {
                    return Err(no_memory());
                }
                self.threads.len() - 1
            }
        };
        let thread = &mut self.threads[index];
        if thread.changes.last().is_some_and(|last| last.state == state && last.what == what) {
            return Ok(());
        }
        if thread.changes.len() == MOST_CHANGES {
            thread.more += 1;
            thread.end.get_or_insert(at);
            return Ok(());
        }
        let what = try_name(what).ok_or_else(no_memory)?;
        if !try_put(&mut thread.changes, Change { at, state, what }) {
            return Err(no_memory());
        }
        Ok(())
    }

    /// What the threads did from `began` until `end`.
    pub(crate) fn records(&self, began: Instant, end: Instant) -> Vec<ThreadRecord> {
        let after = |at: Instant| micros(at.saturating_duration_since(began));
        let record = |thread: &Thread| {
            let ends = thread.changes.iter().skip(1).map(|next| next.at);
            let ends = ends.chain([thread.end.unwrap_or(end)]);
            let stretch = |(change, end): (&Change, Instant)| Stretch {
                state: change.state,
                what: change.what.clone(),
                // Rounded so that one ends where the next begins.
                span: Span {
                    start_us: after(change.at),
                    us: after(end).saturating_sub(after(change.at)),
                },
            };
            let lasted = thread.changes.iter().zip(ends);
            let lasted = lasted.filter(|(change, _)| change.state != ThreadState::Ended);
            ThreadRecord {
                name: thread.name.clone(),
                stretches: lasted.map(stretch).collect(),
                more: thread.more,
            }
        };
        self.threads.iter().map(record).collect()
    }

    /// How often a thread was seen for which there was no room.
    pub(crate) fn left_out(&self) -> u64 {
        self.more_threads
    }

    /// How much memory its names and texts take, about.
    pub(crate) fn size(&self) -> usize {
        let each = |thread: &Thread| {
            let texts = thread.changes.iter().map(|change| 128 + change.what.len());
            256 + thread.name.len() + texts.sum::<usize>()
        };
        self.threads.iter().map(each).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::now;

    fn looks_at(began: Instant, looks: &[(u64, u64, ThreadState, &str)]) -> Looks {
        let mut seen = Looks::new();
        for (at_us, number, state, what) in looks {
            let at = began + Duration::from_micros(*at_us);
            seen.note((*number, &format!("thread {number}")), (*state, *what), at).unwrap();
        }
        seen
    }

    #[test]
    fn looks_that_see_the_same_are_one_stretch_until_the_next_change() {
        let began = now();
        let (running, waiting) = (ThreadState::Running, ThreadState::Waiting);
        let seen = looks_at(
            began,
            &[
                (10, 1, running, "in f"),
                (20, 1, running, "in f"),
                (30, 1, waiting, "in f"),
                (40, 2, ThreadState::Stopped, ""),
                (70, 1, ThreadState::Ended, ""),
                (80, 1, ThreadState::Ended, ""),
                (90, 1, running, "another of that number"),
            ],
        );
        let records = seen.records(began, began + Duration::from_micros(100));
        let spans = |record: &ThreadRecord| -> Vec<_> {
            record.stretches.iter().map(|s| (s.state, s.span.start_us, s.span.us)).collect()
        };
        assert_eq!(spans(&records[0]), [(running, 10, 20), (waiting, 30, 40)]);
        assert_eq!(spans(&records[1]), [(ThreadState::Stopped, 40, 60)]);
        assert_eq!(spans(&records[2]), [(running, 90, 10)]);
        assert_eq!(records[0].active_us(), 60);
        assert_eq!(records[1].active_us(), 0);
    }

    #[test]
    fn more_threads_and_changes_than_fit_are_counted() {
        let began = now();
        let mut seen = Looks::new();
        for change in 0..MOST_CHANGES as u64 + 5 {
            let (at, what) = (began + Duration::from_micros(change), format!("in f{change}"));
            seen.note((1, "one"), (ThreadState::Running, &what), at).unwrap();
        }
        for number in 2..MOST_THREADS as u64 + 4 {
            seen.note((number, "other"), (ThreadState::Stopped, ""), began).unwrap();
        }
        let records = seen.records(began, began + Duration::from_secs(1));
        assert_eq!((records.len(), seen.left_out()), (MOST_THREADS, 3));
        assert_eq!((records[0].stretches.len(), records[0].more), (MOST_CHANGES, 5));
        let last = records[0].stretches.last().unwrap().span;
        assert_eq!((last.start_us, last.us), (MOST_CHANGES as u64 - 1, 1));
    }
}
