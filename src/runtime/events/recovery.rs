//! Locks taken over while their runtime finalizes: any thread may do it, the finalizing thread tells.

use super::{Event, Kind, Subject, Text, Who};
use crate::phase::Phase;
use crate::runtime::Runtime;
use crate::sync::now;
use crate::sys::memory::{spare, try_put};
use crate::thread::record::{Liveness, Owner};
use std::time::Instant;

/// Who held a lock that was taken over.
#[derive(Clone, Debug, Default)]
pub struct Former {
    /// 0 if it has ended.
    tid: u32,
    name: String,
}

impl Former {
    /// `None` is a thread that has ended, and of which nothing is known any more.
    pub(crate) fn of(owner: Option<&Owner>) -> Former {
        let tid =
            |owner: &Owner| if owner.liveness() == Liveness::Exited { 0 } else { owner.tid() };
        // Without memory it has no name: the lock is taken over all the same.
        let named = owner.filter(|_| spare(0).is_ok());
        Former { tid: owner.map_or(0, tid), name: named.and_then(Owner::name).unwrap_or_default() }
    }

    fn describe(&self) -> String {
        match (self.name.as_str(), self.tid) {
            ("", 0) => "a thread that has ended".to_owned(),
            ("", tid) => format!("thread {tid}, which is parked for good"),
            (name, 0) => format!("thread '{name}', which has ended"),
            (name, tid) => format!("thread '{name}' (thread {tid}), which is parked for good"),
        }
    }
}

/// One takeover.
pub(crate) struct Recovery {
    at: Instant,
    from: Former,
    /// The writer's name, and what was in its buffer.
    writer: Option<(String, u64)>,
}

impl Recovery {
    /// A lock of the host's, just now.
    pub(crate) fn of_lock(from: Former) -> Recovery {
        Recovery { at: now(), from, writer: None }
    }

    /// The lock of a writer, with `bytes` in its buffer, just now.
    pub(crate) fn of_writer(from: Former, name: &str, bytes: u64) -> Recovery {
        Recovery { at: now(), from, writer: Some((name.to_owned(), bytes)) }
    }

    /// When it was.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        let from = self.from.describe();
        match &self.writer {
            None => format!("a lock was taken over from {from}"),
            Some((name, bytes)) => {
                format!(
                    "the lock of writer '{name}', with {bytes} bytes, was taken over from {from}"
                )
            }
        }
    }

    pub(crate) fn event(self, runtime: &Runtime, phase: Phase, since_us: u64) -> Event {
        let text = self.describe();
        let who = Who {
            tid: self.from.tid,
            name: self.from.name.into(),
            // It stopped for good: where, tells nothing.
            whereabouts: Text::default(),
        };
        let (subject, name, bytes) = match self.writer {
            None => (Subject::Lock, String::new(), 0),
            Some((name, bytes)) => (Subject::WriterLock, name, bytes),
        };
        Event {
            name: name.into(),
            text: Text::shown(text),
            who,
            since_us,
            bytes,
            ..Event::of(runtime, Kind::Recovery, phase, subject)
        }
    }
}

/// Those not told yet. More than fit are counted.
#[derive(Default)]
pub(crate) struct Recoveries {
    /// Whether a finalization that tells them is under way.
    pub(crate) wanted: bool,
    kept: Vec<Recovery>,
    more: u64,
}

const MOST_KEPT: usize = 64;

impl Recoveries {
    pub(crate) const fn new() -> Recoveries {
        Recoveries { wanted: false, kept: Vec::new(), more: 0 }
    }

    /// Takes all: those kept, and how many more there were.
    pub(crate) fn take(&mut self) -> (Vec<Recovery>, u64) {
        (std::mem::take(&mut self.kept), std::mem::take(&mut self.more))
    }
}

impl Runtime {
    /// Notes a takeover, if its finalization wants to hear of it.
    pub(crate) fn note_recovery(&self, make: impl FnOnce() -> Recovery) {
        if !self.registrations.lock().recoveries.wanted {
            return;
        }
        let recovery = make();
        let mut registrations = self.registrations.lock();
        let recoveries = &mut registrations.recoveries;
        if !recoveries.wanted {
            return;
        }
        let kept = recoveries.kept.len() < MOST_KEPT && try_put(&mut recoveries.kept, recovery);
        if !kept {
            recoveries.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_is_not_kept_and_what_does_not_fit_is_counted() {
        let runtime = Runtime::new("app");
        let note = || runtime.note_recovery(|| Recovery::of_lock(Former::of(None)));
        note();
        runtime.registrations.lock().recoveries.wanted = true;
        (0..MOST_KEPT + 6).for_each(|_| note());
        let (kept, more) = runtime.registrations.lock().recoveries.take();
        assert_eq!((kept.len(), more), (MOST_KEPT, 6));
        let event = kept.into_iter().next().unwrap().event(&runtime, Phase::Freeze, 7);
        assert_eq!(event.text.as_str(), "a lock was taken over from a thread that has ended");
        assert_eq!((event.who, event.since_us), (Who::default(), 7));
        assert_eq!(runtime.registrations.lock().recoveries.take().0.len(), 0);
    }
}
