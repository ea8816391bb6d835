//! What a callback of a finalization waits for inside the library, and for how long it may.
//!
//! A host's callback is never interrupted. A wait of the library's that the callback sits in (for a
//! lock, for room at a destination, for an operation, for another finalization) is the library's to
//! end: it lasts until the time of the finalization is over, of the passes before the freeze that of
//! the passes, and then gives the callback an error. The wait is noted where the watch thread reads it
//! without a lock, so that a notice names what is waited for and who keeps it; and it is in the report.

use crate::lock::buffered::Wait;
use crate::report::Blocked;
use crate::runtime::Runtime;
use crate::runtime::reentry;
use crate::sync::seqlock::{Published, Seen};
use crate::sync::{AtomicBool, AtomicU64, Deadline, Mutex, Ordering, elapsed, now};
use crate::sys::memory::try_push;
use crate::sys::thread_activity;
use crate::thread::record::{Owner, OwnerId};
use std::time::{Duration, Instant};

/// A wait that ended well is in the report from this length on.
const WORTH_TELLING_US: u64 = 100_000;

/// How many waits of one callback the report names.
const MOST: usize = 16;

const NEVER: u64 = u64::MAX;
const WORDS: usize = 24;

/// A wait of a callback that has ended.
pub(crate) struct Ended {
    /// What the wait was for, by its address: several waits for the same are one in the report.
    pub(crate) key: usize,
    pub(crate) what: String,
    /// When it began; the first of several for the same.
    pub(crate) since: Instant,
    pub(crate) us: u64,
    pub(crate) outcome: Outcome,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// What it was for came.
    Came,
    /// The wait had a time of its own, or the grace was spent.
    GaveUp,
    /// The time of the finalization was over.
    Cut,
}

impl Outcome {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Outcome::Came => Blocked::CAME,
            Outcome::GaveUp | Outcome::Cut => "not waited for any longer",
        }
    }
}

/// A runtime's waits in its own finalization.
pub(crate) struct Waits {
    began: Instant,
    /// When a wait must end, in microseconds since `began`.
    until_us: AtomicU64,
    /// What is waited for now, and whose thread keeps it; 0 for nobody's. The finalizing thread writes, and the watch
    /// reads.
    present: Published<WORDS>,
    any_ended: AtomicBool,
    ended: Mutex<Vec<Ended>>,
}

impl Waits {
    pub(crate) fn new() -> Waits {
        Waits {
            began: now(),
            until_us: AtomicU64::new(NEVER),
            present: Published::new(),
            any_ended: AtomicBool::new(false),
            ended: Mutex::new(Vec::new()),
        }
    }

    /// Until when a callback may wait from here on.
    pub(crate) fn allow_until(&self, deadline: Deadline) {
        let us = deadline.instant().map_or(NEVER, |at| {
            let span = at.saturating_duration_since(self.began);
            u64::try_from(span.as_micros()).unwrap_or(NEVER)
        });
        // Relaxed: only the thread that stores it reads it.
        self.until_us.store(us, Ordering::Relaxed);
    }

    fn until(&self) -> Deadline {
        match self.until_us.load(Ordering::Relaxed) {
            NEVER => Deadline::NEVER,
            us => self
                .began
                .checked_add(Duration::from_micros(us))
                .map_or(Deadline::NEVER, Deadline::at),
        }
    }

    /// What the finalizing thread's callback waits for inside the library, and the thread that keeps it, 0 for
    /// nobody's; allocates nothing. `None` if it does not wait, or is just changing that.
    pub(crate) fn look(&self) -> Option<(Seen<WORDS>, u32)> {
        let look = self.present.read().filter(|look| !look.as_str().is_empty())?;
        let tid = look.number as u32;
        Some((look, tid))
    }

    /// The waits that have ended since this was last asked.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        // Relaxed: only the finalizing thread sets it and asks.
        if !self.any_ended.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut ended = std::mem::take(&mut *self.ended.lock());
        ended.retain(|end| end.outcome == Outcome::Cut || end.us >= WORTH_TELLING_US);
        ended
    }

    fn note_end(&self, end: Ended) {
        let mut ended = self.ended.lock();
        if let Some(other) = ended.iter_mut().find(|other| other.key == end.key) {
            let us = other.us.saturating_add(end.us);
            let (since, outcome) = (other.since, end.outcome.max(other.outcome));
            *other = Ended { since, us, outcome, ..end };
        } else if ended.len() < MOST {
            try_push(&mut ended, 0, || end);
        }
        drop(ended);
        self.any_ended.store(true, Ordering::Relaxed);
    }
}

/// Until when the calling thread may wait: without limit, except in a callback of a finalization.
pub(crate) fn bound() -> Deadline {
    reentry::finalized_by_caller().map_or(Deadline::NEVER, |runtime| runtime.waits().until())
}

/// A wait in a callback of a finalization, noted as long as this lives.
pub struct Awaiting<'a> {
    runtime: &'a Runtime,
    key: usize,
    what: String,
    owner: Option<OwnerId>,
    tid: u32,
    since: Instant,
    outcome: Outcome,
}

impl Awaiting<'_> {
    /// The calling thread begins to wait for `what`, which is at the address `key`, and which `owner`
    /// keeps. `None` if it is in no callback of a finalization.
    pub(crate) fn begin<'a>(
        key: usize,
        owner: Option<&Owner>,
        what: impl FnOnce() -> String,
    ) -> Option<Awaiting<'a>> {
        let runtime = reentry::finalized_by_caller()?;
        let (what, tid) = (what(), owner.map_or(0, Owner::tid));
        runtime.waits().present.write(tid.into(), &what);
        let owner = owner.map(Owner::id);
        Some(Awaiting { runtime, key, what, owner, tid, since: now(), outcome: Outcome::Came })
    }
}

impl Wait for Awaiting<'_> {
    fn is_for(&self, owner: &Owner) -> bool {
        self.owner == Some(owner.id())
    }

    fn give_up(mut self) {
        let cut = self.runtime.waits().until().passed();
        self.outcome = if cut { Outcome::Cut } else { Outcome::GaveUp };
        // Where its keeper is now.
        self.what = thread_activity::append(std::mem::take(&mut self.what), self.tid);
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        let (waits, outcome) = (self.runtime.waits(), self.outcome);
        waits.present.write(0, "");
        // A short one may be part of a long one: where a destination is asked again and again.
        let us = u64::try_from(elapsed(self.since).as_micros()).unwrap_or(u64::MAX);
        let what = std::mem::take(&mut self.what);
        waits.note_end(Ended { key: self.key, what, since: self.since, us, outcome });
    }
}
