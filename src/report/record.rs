//! Writes a report down while the finalization runs.

use super::{Blocked, Failure, HandlerRun, Looks, PhaseRecord, Report, Skipped, Span, TakenOver};
use crate::phase::Phase;
use crate::report::tracepoints;
use crate::status::Status;
use crate::sync::{elapsed, now};
use crate::sys::memory::{spare, try_name, try_push, try_put};
use std::time::{Duration, Instant};

/// A callback's run is noted from this length on.
const WORTH_TELLING_US: u64 = 1_000;

/// How many runs of callbacks a phase has in the report.
const MOST_CALLBACKS: usize = 64;

/// How many locks that were taken over are in the report one by one.
const MOST_TAKEN_OVER: usize = 256;

/// Takes notes for a [`Report`]. The finalizing thread owns it.
pub struct Recorder {
    runtime: u32,
    began: Instant,
    current: (Phase, Instant),
    /// The report so far.
    pub report: Report,
}

impl Recorder {
    /// Begins the account of the finalization of the runtime of this number and name.
    pub fn begin(number: u32, runtime: &str, deadline_us: Option<u64>) -> Recorder {
        let began = now();
        Recorder {
            runtime: number,
            began,
            current: (Phase::Guards, began),
            report: Report {
                runtime: runtime.to_owned(),
                status: Status::Ok,
                began: Some(began),
                total_us: 0,
                deadline_us,
                passes: 0,
                // Memory may be short later, and each phase must have its record.
                phases: Vec::with_capacity(Phase::ALL.len()),
                blocked: Vec::new(),
                failures: Vec::new(),
                skipped: Vec::new(),
                continued: Vec::new(),
                taken_over: Vec::new(),
                more_taken_over: 0,
                stopped: Vec::new(),
                threads: Vec::new(),
                more_threads: 0,
                runaways: Vec::new(),
                undetached: Vec::new(),
                destinations: Vec::new(),
                leaks: Vec::new(),
                resurrected: Vec::new(),
                violations: Vec::new(),
                late_calls: 0,
                children: Vec::new(),
                not_restartable: Vec::new(),
                unreported: String::new(),
                unnoted: 0,
            },
        }
    }

    /// The phase that runs now.
    pub fn phase(&self) -> Phase {
        self.current.0
    }

    /// A phase begins, or begins again in another pass.
    pub fn enter(&mut self, phase: Phase, budget_us: Option<u64>) {
        self.current = (phase, now());
        tracepoints::phase_begin(self.runtime, &self.report.runtime, phase);
        if self.report.phase(phase).is_none() {
            self.report.phases.push(PhaseRecord {
                phase,
                spans: Vec::new(),
                work: 0,
                budget_us,
                overran: false,
                handlers: Vec::new(),
                callbacks: Vec::new(),
            });
        }
    }

    /// The phase that runs now ends.
    pub fn leave(&mut self) {
        let span = self.span(self.current.1);
        let runtime = self.runtime;
        let record = self.record();
        record.overran |= record.budget_us.is_some_and(|budget| span.us > budget);
        let noted = try_put(&mut record.spans, span);
        tracepoints::phase_end(runtime, record.phase, record.work, span.us);
        self.count_unless(noted);
    }

    fn record(&mut self) -> &mut PhaseRecord {
        let phase = self.phase();
        let at = self.report.phases.iter().position(|record| record.phase == phase);
        &mut self.report.phases[at.expect("a phase is entered before notes are taken of it")]
    }

    /// Counts work done in the phase.
    pub fn work(&mut self, amount: u64) {
        self.record().work += amount;
    }

    /// What was counted in the phase so far.
    pub fn work_done(&mut self) -> u64 {
        self.record().work
    }

    /// The phase was cut short by its budget or the deadline.
    pub fn cut_short(&mut self) {
        self.record().overran = true;
        self.incomplete();
    }

    /// A handler ran since `since`.
    pub fn handler(&mut self, name: &str, since: Instant) {
        let span = self.span(since);
        let noted = try_name(name)
            .is_some_and(|name| try_put(&mut self.record().handlers, HandlerRun { name, span }));
        self.count_unless(noted);
    }

    /// A callback began at `since` and took `us` microseconds. There can be many, so a short one leaves no note, nor
    /// do more than fit.
    pub fn callback(&mut self, name: &str, (since, us): (Instant, u64)) {
        if us < WORTH_TELLING_US || self.record().callbacks.len() >= MOST_CALLBACKS {
            return;
        }
        let span = Span { us, ..self.span(since) };
        let noted = try_name(name)
            .is_some_and(|name| try_put(&mut self.record().callbacks, HandlerRun { name, span }));
        self.count_unless(noted);
    }

    /// Something was waited for since `since`.
    pub fn blocked(&mut self, what: String, since: Instant, outcome: &str) {
        let us = self.span(since).us;
        self.waited(what, since, us, outcome);
    }

    /// Something that began at `since` took `us` microseconds, too long, in the phase.
    pub fn took_too_long(&mut self, what: String, since: Instant, us: u64, outcome: &str) {
        self.waited(what, since, us, outcome);
        self.record().overran = true;
    }

    /// Something was waited for from `since` on, for `us` microseconds.
    pub fn waited(&mut self, what: String, since: Instant, us: u64, outcome: &str) {
        let (phase, start_us) = (self.phase(), self.span(since).start_us);
        let blocked = || Blocked { phase, what, start_us, us, outcome: outcome.to_owned() };
        let noted = try_push(&mut self.report.blocked, outcome.len(), blocked);
        self.count_unless(noted);
    }

    /// A callback failed.
    pub fn failed(&mut self, name: &str, how: impl ToString) {
        let phase = self.phase();
        let failure = || Failure { phase, name: name.to_owned(), how: how.to_string() };
        let noted = try_push(&mut self.report.failures, name.len(), failure);
        self.count_unless(noted);
        self.incomplete();
    }

    /// The freeze stopped a thread.
    pub fn stopped(&mut self, thread: impl FnOnce() -> String) {
        let noted = try_push(&mut self.report.stopped, 0, thread);
        self.count_unless(noted);
    }

    /// A lock was taken over at `at`. More than fit are counted.
    pub fn taken_over(&mut self, at: Instant, what: impl FnOnce() -> String) {
        if self.report.taken_over.len() >= MOST_TAKEN_OVER {
            return self.more_taken_over(1);
        }
        let at_us = self.span(at).start_us;
        let take = || TakenOver { at_us, what: what() };
        let noted = try_push(&mut self.report.taken_over, 0, take);
        self.count_unless(noted);
    }

    /// So many more locks were taken over.
    pub fn more_taken_over(&mut self, count: u64) {
        self.report.more_taken_over += count;
    }

    /// The host looked at its threads.
    pub(crate) fn threads(&mut self, looks: &Looks) {
        self.report.more_threads = looks.left_out();
        if spare(looks.size()).is_ok() {
            self.report.threads = looks.records(self.began, now());
        } else {
            self.report.unnoted += 1;
        }
    }

    /// A handler that may be was left out.
    pub fn skipped(&mut self, name: &str) {
        let phase = self.phase();
        let skipped = || Skipped { phase, name: name.to_owned() };
        let noted = try_push(&mut self.report.skipped, name.len(), skipped);
        self.count_unless(noted);
    }

    /// There was something to say: it was noted, or there was no memory for it.
    fn count_unless(&mut self, noted: bool) {
        self.report.unnoted += u64::from(!noted);
    }

    /// Not everything could be done.
    pub fn incomplete(&mut self) {
        self.report.status = Status::Incomplete;
    }

    /// The account is complete.
    pub fn finish(mut self) -> Report {
        self.report.total_us = self.span(self.began).us;
        self.report
    }

    /// The report as far as it has come, and when the present run of the phase began.
    pub fn so_far(&self) -> Option<(Report, Instant)> {
        spare(self.report.size()).is_ok().then(|| (self.report.clone(), self.current.1))
    }

    /// When the present run of the phase began, and how long it has taken.
    pub fn began_phase(&self) -> Span {
        self.span(self.current.1)
    }

    /// The time since `since`.
    pub fn span(&self, since: Instant) -> Span {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Span { start_us: us(since.saturating_duration_since(self.began)), us: us(elapsed(since)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_long_callbacks_the_first_are_noted_and_of_many_locks_the_rest_is_counted() {
        let mut notes = Recorder::begin(1, "main", None);
        notes.enter(Phase::AtExit, None);
        let began = notes.began;
        notes.callback("short", (began, WORTH_TELLING_US - 1));
        for n in 0..MOST_CALLBACKS + 5 {
            notes.callback(&format!("number {n}"), (began, WORTH_TELLING_US));
        }
        for n in 0..MOST_TAKEN_OVER + 5 {
            notes.taken_over(now(), || format!("number {n}"));
        }
        notes.more_taken_over(2);
        notes.leave();
        let report = notes.finish();
        let callbacks = &report.phases[0].callbacks;
        assert_eq!((callbacks.len(), callbacks[0].name.as_str()), (MOST_CALLBACKS, "number 0"));
        assert_eq!((report.taken_over.len(), report.more_taken_over), (MOST_TAKEN_OVER, 7));
        assert_eq!(report.unnoted, 0);
    }
}
