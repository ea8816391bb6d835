//! What the watch says of the thing that the finalizing thread is in the middle of.

use super::board::{Activity, Entry};
use super::{Line, Shared};
use crate::event::{Event, Kind, Subject, Text, Who};

impl Shared {
    pub(super) fn event(&self, entry: &Entry, times: u64) -> Event {
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
        Event {
            name: entry.name.as_str().into(),
            text: Text::shown(format_args!("{what} has run for {ms} ms in the phase {phase}{at}")),
            who,
            since_us,
            lasted_us,
            count: times,
            ..Event::of(&self.runtime, Kind::Overrun, entry.phase, subject)
        }
    }

    /// Allocates nothing.
    pub(super) fn say(&self, entry: &Entry) {
        let mut line = Line::new();
        let seconds = self.us().saturating_sub(entry.since_us) / 1_000_000;
        let name = self.runtime.name();
        line.put(format_args!("rtfinalize: '{name}' has waited {seconds} s for "));
        let _ = entry.describe_wait(&mut line);
        crate::sink::tell_at_once(line.line());
    }
}
