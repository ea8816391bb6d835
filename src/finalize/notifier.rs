//! What the finalizing thread tells, at its steps.

use super::Finalization;
use crate::phase::Phase;
use crate::report::ledger::{Leak, LeakKind};
use crate::report::tracepoints;
use crate::runtime::events::{Event, Kind, Late, Subject, Text};
use crate::runtime::options::Overrun;
use crate::sync::{Deadline, Ordering, elapsed};
use crate::sys::memory::spare;
use std::time::{Duration, Instant};

/// What has been told.
#[derive(Default)]
pub(crate) struct Told {
    late_calls: u64,
    leaks: usize,
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Finalization<'_> {
    fn event(&self, kind: Kind, subject: Subject) -> Event {
        Event::of(self.runtime, kind, self.notes.phase(), subject)
    }

    /// Whether an event is told. One for which there is no memory is left out.
    pub(crate) fn hears(&self) -> bool {
        self.watch.has_listener() && spare(0).is_ok()
    }

    /// From here on what happens elsewhere is kept, to be told.
    pub(crate) fn listen(&mut self) {
        self.told.late_calls = self.runtime.late_calls().load(Ordering::Relaxed);
        self.runtime.registrations.lock().recoveries.wanted = true;
    }

    /// The last that is told.
    pub(crate) fn tell_the_last(&mut self) {
        self.runtime.registrations.lock().recoveries.wanted = false;
        self.tell_news();
    }

    /// A phase begins, or begins again.
    pub(crate) fn tell_begin(&mut self, phase: Phase) {
        if self.hears() {
            self.tell_news();
            let event = self.event(Kind::PhaseBegin, Subject::Runtime);
            let since_us = self.notes.began_phase().start_us;
            let pass = if phase.repeats() { self.notes.report.passes } else { 1 };
            let text = format!("phase {} begins", phase.name());
            self.watch.tell(&Event {
                name: phase.name().into(),
                text: Text::shown(text),
                since_us,
                count: pass.into(),
                ..event
            });
        }
    }

    /// The phase that runs ends.
    pub(crate) fn tell_end(&mut self, phase: Phase) {
        if self.hears() {
            self.tell_news();
            let span = self.notes.began_phase();
            let event = self.event(Kind::PhaseEnd, Subject::Runtime);
            let pass = if phase.repeats() { self.notes.report.passes } else { 1 };
            let text = format!("phase {} took {} us", phase.name(), span.us);
            self.watch.tell(&Event {
                name: phase.name().into(),
                text: Text::shown(text),
                since_us: span.start_us,
                lasted_us: span.us,
                count: pass.into(),
                ..event
            });
        }
    }

    /// Notes and tells what has happened since this was last called: on other threads, and in the ledger.
    pub(crate) fn tell_news(&mut self) {
        let (recoveries, more) = self.runtime.registrations.lock().recoveries.take();
        for recovery in recoveries {
            self.notes.taken_over(recovery.at(), || recovery.describe());
            if self.hears() {
                let since_us = self.notes.span(recovery.at()).start_us;
                let event = recovery.event(self.runtime, self.notes.phase(), since_us);
                self.watch.tell(&event);
            }
        }
        self.notes.more_taken_over(more);
        if !self.hears() {
            return;
        }
        let leaks = {
            let registrations = self.runtime.registrations.lock();
            registrations.leaks.get(self.told.leaks..).unwrap_or_default().to_vec()
        };
        self.told.leaks += leaks.len();
        if more > 0 {
            let event = self.event(Kind::Recovery, Subject::Lock);
            let text = format!("{more} more locks were taken over");
            self.watch.tell(&Event { text: Text::shown(text), count: more, ..event });
        }
        for leak in &leaks {
            self.tell_leak(leak);
        }
        let late_calls = self.runtime.late_calls().load(Ordering::Relaxed);
        let count = late_calls - self.told.late_calls;
        if count > 0 {
            self.told.late_calls = late_calls;
            let event = self.event(Kind::LateCall, Subject::Runtime);
            let text = format!("{count} calls came too late and were refused");
            self.watch.tell(&Event { text: Text::shown(text), count, ..event });
        }
    }

    /// Something was entered in the ledger.
    pub(crate) fn tell_leak(&mut self, leak: &Leak) {
        let subject = match leak.kind {
            LeakKind::Overlapped => Subject::Operation,
            LeakKind::Writer => Subject::Writer,
            LeakKind::ThreadState => Subject::ThreadState,
            LeakKind::Child => Subject::Child,
            LeakKind::Object => Subject::Object,
            LeakKind::Host => Subject::Host,
        };
        let event = self.event(Kind::Leak, subject);
        let text = format!("{} '{}' was leaked: {}", leak.kind.name(), leak.name, leak.reason);
        let name = leak.name.as_str().into();
        self.watch.tell(&Event { name, text: Text::shown(text), bytes: leak.bytes, ..event });
    }

    /// These have been waited for since `since`, for the `times`th time to no avail: tells so, and says
    /// what is done about it. By [`Overrun::Exit`] the process has ended.
    pub(crate) fn overran(&mut self, late: &[Late], since: Instant, times: u64) -> Overrun {
        let phase = self.notes.phase();
        let mut decision = None;
        self.tell_news();
        for thing in late {
            let mut what = self.options.overrun;
            let lasted_us = thing.age_us.unwrap_or(micros(elapsed(since)));
            tracepoints::overrun(self.runtime.id(), phase, &thing.name, lasted_us);
            if self.hears() {
                let since_us = self.notes.span(since).start_us;
                let event = Event {
                    name: thing.name.as_str().into(),
                    text: Text::shown(format_args!(
                        "{} in the phase {}",
                        thing.describe(),
                        phase.name()
                    )),
                    who: thing.who.clone(),
                    since_us,
                    lasted_us,
                    count: times,
                    ..self.event(Kind::Overrun, thing.subject)
                };
                what = self.watch.tell(&event).unwrap_or(what);
            }
            if what == Overrun::Exit {
                let (code, name) = (self.options.exit_code, self.runtime.name());
                let (what, rouse) = (thing.describe(), || self.watch.rouse_for_the_last_word());
                let since_us = self.notes.span(since).start_us;
                self.watch.keep_for_the_last_report(&self.notes);
                let report = || self.watch.write_the_last_report(phase, &what, since_us);
                crate::exit::hard_exit::end_process(code, name, phase, &[&what], rouse, report);
            }
            if what == Overrun::Continue || decision.is_none() {
                decision = Some(what);
            }
        }
        decision.unwrap_or(Overrun::Skip)
    }

    /// Until when something that has used up its time may be waited for again. `None`: no longer.
    pub(crate) fn more_time(
        &mut self,
        late: &[Late],
        since: Instant,
        times: u64,
    ) -> Option<Deadline> {
        let goes_on = self.overran(late, since, times) == Overrun::Continue;
        let phase = self.notes.phase();
        let again = Deadline::after_us(self.options.budget_us(phase)).min(self.deadline);
        (goes_on && phase < Phase::FlushEarly && !again.passed()).then_some(again)
    }
}
