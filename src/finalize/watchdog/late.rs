//! What the watch does about what has run past its time: it says so, asks the listener, and by
//! [`Overrun::Exit`] ends the process.
//!
//! # The last word is bounded, too
//!
//! Whatever the last word does may block all the same: a write to a file system that is gone. So a thread
//! that says it is stood by: another one of the library's begins with the watch, while memory and threads
//! are to be had, if the process may have to end; it sleeps until the last word begins, gives it a second,
//! and then ends the process whatever the first is stuck in. It takes no lock, allocates nothing, and
//! makes one attempt at a line that cannot wait.

use super::host_words::{self, Said};
use super::status_cell::Entry;
use super::{ANSWER_US, Activity, NEVER, Shared};
use crate::exit::hard_exit;
use crate::report::tracepoints;
use crate::runtime::events::{Event, Kind, Listener, Subject, Text, Who};
use crate::runtime::options::Overrun;
use crate::sync::helper::Waker;
use crate::sync::{Deadline, Ordering};
use crate::sys::memory::spare;
use crate::sys::thread_activity;
use crate::text::FixedText;
use crate::thread::host_call;
use std::fmt;

/// What is said of one thing.
type Line = FixedText<512>;

/// What became of a question.
enum Answer {
    /// It was answered, or is by the option.
    Do(Overrun),
    /// The callback ended before it was asked.
    Ended,
}

impl Shared {
    /// When the process ends, unless the finalization does before.
    pub(super) fn end_us(&self) -> u64 {
        let exits = self.overrun == Overrun::Exit && !self.pardoned.load(Ordering::SeqCst);
        if exits { self.total_us } else { NEVER }
    }

    /// The callback has used up its time, or the deadline has passed in whatever this is.
    pub(super) fn expired(&self, entry: &Entry, version: u64, times: u64, said: &Said) {
        let lasted_us = self.us().saturating_sub(entry.since_us);
        tracepoints::overrun(self.runtime.id(), entry.phase, entry.name.as_str(), lasted_us);
        let Answer::Do(what) = self.ask(entry, version, times, said) else { return };
        if what == Overrun::Exit {
            self.end_process(entry);
        }
        if self.us() >= self.total_us {
            // SeqCst, like all that decides about the end of the process: it is rare.
            self.pardoned.store(true, Ordering::SeqCst);
        }
    }

    /// Asks the listener what to do. Without one it is the option; and if the listener is what is
    /// stuck, too.
    fn ask(&self, entry: &Entry, version: u64, times: u64, said: &Said) -> Answer {
        let by_option = Answer::Do(self.overrun);
        // Nor without memory for the event.
        let Some(listener) = self.listener.as_ref().filter(|_| spare(0).is_ok()) else {
            return by_option;
        };
        // SeqCst: the turn is taken before the entry is looked at again; the finalizing thread writes
        // its entry before it looks whether the turn is taken. So no callback is told as running after
        // the finalizing thread went on.
        if entry.activity == Activity::Event || self.telling.swap(true, Ordering::SeqCst) {
            return by_option;
        }
        let ended = entry.activity == Activity::Callback && self.board.version() != version;
        let answer = if ended {
            Answer::Ended
        } else {
            let event = self.event(entry, times, said);
            Answer::Do(self.call(listener, &event).unwrap_or(self.overrun))
        };
        self.telling.store(false, Ordering::SeqCst);
        answer
    }

    pub(super) fn call(&self, listener: &Listener, event: &Event) -> Option<Overrun> {
        let answer = host_call::run_for(&self.runtime, || listener.hear(event)).ok();
        answer.and_then(|number| Overrun::from_number(u32::try_from(number).ok()?))
    }

    fn event(&self, entry: &Entry, times: u64, said: &Said) -> Event {
        let subject = match entry.activity {
            Activity::Callback => Subject::Callback,
            Activity::Child => Subject::Child,
            Activity::Own | Activity::Event | Activity::Report => Subject::Runtime,
        };
        let since_us = if subject == Subject::Runtime { 0 } else { entry.since_us };
        let lasted_us = self.us().saturating_sub(since_us);
        let mut what = String::new();
        let _ = entry.describe(&mut what);
        if what.is_empty() {
            "the finalization".clone_into(&mut what);
        }
        let who = Who::of(&self.me);
        let at = match who.whereabouts.as_str() {
            "" => String::new(),
            place => format!(", {place}"),
        };
        let (ms, phase) = (lasted_us / 1000, entry.phase.name());
        let mut waits = said.to_string();
        self.describe_wait(entry, &mut waits);
        Event {
            name: entry.name.as_str().into(),
            text: Text::shown(format_args!(
                "{what} has run for {ms} ms in the phase {phase}{waits}{at}"
            )),
            who,
            since_us,
            lasted_us,
            count: times,
            ..Event::of(&self.runtime, Kind::Overrun, entry.phase, subject)
        }
    }

    /// Says that `entry` takes long; `said` is what the host said of it. Allocates nothing.
    pub(super) fn say(&self, entry: &Entry, said: &Said) {
        let mut line = Line::new();
        let seconds = self.us().saturating_sub(entry.since_us) / 1_000_000;
        let name = self.runtime.name();
        line.put(format_args!("rtfinalize: '{name}' has waited {seconds} s for "));
        let _ = entry.describe_wait(&mut line);
        line.put(format_args!("{said}"));
        self.describe_wait(entry, &mut line);
        crate::io::tell_at_once(line.line());
    }

    /// Asks the host where in its own code a callback is, and if `keep`, stores the answer for the report. Allocates
    /// nothing.
    pub(super) fn look_at_work(&self, entry: &Entry, version: u64, keep: bool) -> Said {
        let said = host_words::ask_about(entry, &self.runtime);
        // A look at a thread that went on meanwhile is one at something else.
        if keep && entry.activity == Activity::Callback && self.board.version() == version {
            self.slip.keep(version, &said);
        }
        said
    }

    /// Writes what the callback waits for inside the library, if it does, and what the thread does that
    /// keeps that. Allocates nothing.
    fn describe_wait(&self, entry: &Entry, out: &mut impl fmt::Write) {
        let waits = matches!(entry.activity, Activity::Callback | Activity::Event);
        if let Some((look, tid)) = self.runtime.waits().look().filter(|_| waits) {
            // It never fails.
            let _ = write!(out, ", waiting for {}", look.as_str());
            thread_activity::write(tid, out);
        }
    }

    /// Allocates nothing, and takes no lock, but for the report that may have been wished for.
    fn end_process(&self, entry: &Entry) -> ! {
        let mut what = Line::new();
        let _ = entry.describe(&mut what);
        what.put(format_args!("{}", host_words::ask_about(entry, &self.runtime)));
        self.describe_wait(entry, &mut what);
        let during = [what.as_str()];
        let during = if what.as_str().is_empty() { &[][..] } else { &during[..] };
        let rouse = || self.last_word.raise();
        let report = || self.write_the_last_report(entry.phase, what.as_str(), entry.since_us);
        hard_exit::end_process(
            self.exit_code,
            self.runtime.name(),
            entry.phase,
            during,
            rouse,
            report,
        )
    }

    /// The second thread: neither a listener that never answers nor a line that is never written keeps the
    /// process.
    pub(super) fn end_in_any_case(&self, waker: &Waker) {
        self.be_ready();
        let end_us = self.total_us.saturating_add(ANSWER_US);
        while !self.is_over() && self.us() < end_us {
            self.sleep_until(end_us, waker);
        }
        if !self.is_over() && !self.pardoned.load(Ordering::SeqCst) {
            self.end_process(&self.board.read().1);
        }
    }

    /// The thread that stands by the one that says the last word.
    pub(super) fn bound_the_last_word(&self, _: &Waker) {
        self.be_ready();
        while !hard_exit::has_begun() {
            if self.is_over() {
                return;
            }
            self.last_word.wait(Deadline::NEVER);
        }
        hard_exit::cut_short_in_time();
    }
}
