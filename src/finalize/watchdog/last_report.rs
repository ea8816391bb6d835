//! The report of a finalization that does not come to its end.
//!
//! Where the process ends at its deadline the finalizing thread is stuck and writes no report. So if one is wished for,
//! it leaves a copy at the beginning of each phase, and the watch adds what is known besides: what it is stuck in, the
//! bytes, the waits and the threads.
//!
//! That takes memory and locks, which the thread that is stuck may have. So it comes last of all, when the bytes are
//! written and the line on stderr is said; and the thread that stands by ends the process if it takes too long.

use super::{Shared, Watch};
use crate::phase::Phase;
use crate::report::{Blocked, Destination, Recorder, Report, Span, Wish};
use crate::runtime::Runtime;
use crate::status::Status;
use crate::sync::{Deadline, Mutex};
use crate::sys::memory::spare;
use std::time::{Duration, Instant};

/// How long whoever reads the report may take to have room for it.
const PATIENCE: Duration = Duration::from_millis(400);

/// What came of what was under way.
const CUT_OFF: &str = "not over when the process ended";

pub(super) struct LastReport {
    wish: Wish,
    /// The report up to the present phase, and when that began.
    so_far: Mutex<Option<(Report, Instant)>>,
}

impl LastReport {
    pub(super) fn new(wish: Wish) -> LastReport {
        LastReport { wish, so_far: Mutex::new(None) }
    }
}

impl Watch {
    /// A phase has begun. Where the process may have to end, that is kept for its report.
    pub(crate) fn keep_for_the_last_report(&self, notes: &Recorder) {
        if let Some(last) = &self.shared.last_report {
            *last.so_far.lock() = notes.so_far();
        }
    }

    /// The finalizing thread ends the process: writes the report, because of `what`, that has gone on since then.
    pub(crate) fn write_the_last_report(&self, phase: Phase, what: &str, since_us: u64) {
        self.shared.write_the_last_report(phase, what, since_us);
    }
}

impl Shared {
    /// Writes the report, of a finalization that ends because of `what` in `phase`, that has gone on since then.
    pub(super) fn write_the_last_report(&self, phase: Phase, what: &str, since_us: u64) {
        let Some(last) = &self.last_report else { return };
        let Some((mut report, phase_began)) = last.so_far.lock().take() else { return };
        // For its copies, and for what is laid out.
        if spare(report.size().saturating_mul(4)).is_err() {
            return;
        }
        let now_us = self.us();
        report.status = Status::Incomplete;
        report.total_us = now_us;
        let phase_us = super::micros(phase_began.saturating_duration_since(self.began));
        if let Some(record) = report.phases.iter_mut().find(|record| record.phase == phase) {
            let us = now_us.saturating_sub(phase_us);
            record.spans.push(Span { start_us: phase_us, us });
            record.overran = true;
        }
        self.add_what_is_known(&mut report, phase);
        if !what.is_empty() {
            let us = now_us.saturating_sub(since_us);
            let (what, outcome) = (what.to_owned(), CUT_OFF.to_owned());
            report.blocked.push(Blocked { phase, what, start_us: since_us, us, outcome });
        }
        report.not_restartable.push("the process ended at its deadline".to_owned());
        let place = last.wish.place();
        if let Err(why) = last.wish.grant(&report, &place, Deadline::after(PATIENCE)) {
            crate::io::tell_at_once(format!("rtfinalize: {why}\n").as_bytes());
        }
    }

    /// What is noted outside of the report until a phase, or all, is over.
    fn add_what_is_known(&self, report: &mut Report, phase: Phase) {
        let runtime: &Runtime = &self.runtime;
        let (writers, abandoned) = {
            let mut registrations = runtime.registrations.lock();
            report.leaks = std::mem::take(&mut registrations.leaks);
            report.children = std::mem::take(&mut registrations.child_reports);
            report.threads = registrations.looks.records(self.began, crate::sync::now());
            report.more_threads = registrations.looks.left_out();
            (registrations.writers.clone(), std::mem::take(&mut registrations.abandoned))
        };
        let waits = runtime.take_waits().into_iter().map(|wait| {
            let start_us = super::micros(wait.since.saturating_duration_since(self.began));
            Blocked { phase, what: wait.what, start_us, us: wait.us, outcome: wait.outcome }
        });
        report.blocked.extend(waits);
        report.failures.extend(runtime.take_failures(phase));
        report.destinations.extend(abandoned);
        let accounts = writers.iter().map(|writer| writer.account());
        report.destinations.extend(accounts.filter(|d: &Destination| d.accepted > 0));
        report.late_calls = runtime.late_calls().load(crate::sync::Ordering::Relaxed);
    }
}
