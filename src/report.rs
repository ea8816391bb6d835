//! What a finalization has to say: where the time went, what blocked, what was kept, which bytes
//! arrived. The four forms it is written in are next door: `text`, `json`, `trace`, `html`.

mod html;
mod json;
pub mod ledger;
mod moments;
mod output;
mod publish;
mod record;
pub(crate) mod restart;
mod text;
mod threads;
mod trace;
pub(crate) mod tracepoints;

pub use html::to_html;
pub use json::to_json;
pub use output::number_reports;
pub use publish::{Form, Wish, write_to, write_to_reader};
pub use record::Recorder;
pub use text::{TextStyle, to_text};
pub(crate) use threads::Looks;
pub use threads::{Stretch, ThreadRecord, ThreadState};
pub use trace::to_trace;

use crate::phase::Phase;
use crate::report::ledger::Leak;
use crate::status::Status;
use crate::sync::Arc;
use std::time::Instant;

/// A stretch of time inside a finalization, in microseconds since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start_us: u64,
    /// How long it lasted.
    pub us: u64,
}

/// Something a phase waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its phase.
    pub phase: Phase,
    /// What was waited for: `thread 'worker' (thread 4711)`, `lock of writer 'log'`.
    pub what: String,
    /// When the wait began, in microseconds since the finalization did.
    pub start_us: u64,
    /// How long, in microseconds. Several waits of one callback for the same are one, from the first on.
    pub us: u64,
    /// What came of it: `ended`, `left running as a runaway`, `skipped`.
    pub outcome: String,
}

/// A callback or handler that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its phase.
    pub phase: Phase,
    /// Its name, as registered; empty if it has none.
    pub name: String,
    /// How: `returned -1`, `ended its thread`.
    pub how: String,
}

/// A handler's or callback's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerRun {
    /// Its name.
    pub name: String,
    /// When.
    pub span: Span,
}

/// A handler that was left out, as its policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its phase.
    pub phase: Phase,
    /// Its name.
    pub name: String,
}

/// What became of a handler that was not waited for, by the end of the finalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// It ended.
    Ended,
    /// It failed.
    Failed,
    /// It still runs.
    Running,
    /// It could not be started.
    NotStarted,
}

impl Continuation {
    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Continuation::Ended => "ended",
            Continuation::Failed => "failed",
            Continuation::Running => "still running",
            Continuation::NotStarted => "not started",
        }
    }
}

/// A handler that was started and not waited for, as its policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continued {
    /// Its phase.
    pub phase: Phase,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub state: Continuation,
    /// When it was started, in microseconds since the finalization began.
    pub start_us: u64,
    /// How long it took, or has run so far, in microseconds.
    pub us: u64,
    /// How it ended, `returned 0`, or why it was not started; empty while it runs.
    pub how: String,
}

impl Continued {
    /// What became of it, and how: `failed: returned -1`.
    pub fn outcome(&self) -> String {
        let state = self.state.name();
        if self.how.is_empty() { state.to_owned() } else { format!("{state}: {}", self.how) }
    }
}

/// A lock that was taken over from a thread that will never run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// When, in microseconds since the finalization began.
    pub at_us: u64,
    /// Which and from whom: `the lock of writer 'log', with 12 bytes, was taken over from thread 4711, which is
    /// parked for good`.
    pub what: String,
}

/// What one phase did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseRecord {
    /// Which phase.
    pub phase: Phase,
    /// When it ran; several times if the passes went round.
    pub spans: Vec<Span>,
    /// The work done, in [`Phase::unit`]s.
    pub work: u64,
    /// How long its own waits could last, `None` without a limit.
    pub budget_us: Option<u64>,
    /// Whether it took longer than its budget, or the total deadline passed in it.
    pub overran: bool,
    /// The host's handlers that ran.
    pub handlers: Vec<HandlerRun>,
    /// Of the callbacks that are the phase's own work, those that took 1 ms or longer: the first of them.
    pub callbacks: Vec<HandlerRun>,
}

impl PhaseRecord {
    /// How long the phase took in all, in microseconds.
    pub fn us(&self) -> u64 {
        self.spans.iter().fold(0, |sum, span| sum.saturating_add(span.us))
    }
}

/// What became of the bytes a writer accepted. `accepted = written + unwritten + in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The writer's name.
    pub name: String,
    /// Bytes its callers were told are accepted, over its life.
    pub accepted: u64,
    /// Bytes the destination took, over its life.
    pub written: u64,
    /// Of these, bytes written by finalization.
    pub flushed: u64,
    /// Of these, bytes taken over from an owner that will never run again.
    pub recovered: u64,
    /// Bytes that certainly did not arrive.
    pub unwritten: u64,
    /// Bytes in a call that has not returned: they may or may not arrive.
    pub in_flight: u64,
    /// Bytes that were in the buffer when a `fork` made this process: they are the parent's, and in no
    /// other number here.
    pub left_to_parent: u64,
    /// Why bytes were not written; empty if all were.
    pub reason: String,
}

/// Objects of one name that their finalize brought back to life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resurrected {
    /// The name.
    pub object: String,
    /// How many of them.
    pub count: u64,
}

/// Calls into the library from inside dealloc callbacks, where only C data may be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The object's name.
    pub object: String,
    /// What it called: `rt_writer_write`.
    pub call: String,
    /// How often it was refused.
    pub count: u64,
}

/// The account of one finalization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The runtime's name.
    pub runtime: String,
    /// `Ok`, or `Incomplete` if data could not be flushed, a phase failed or a deadline passed.
    pub status: Status,
    /// When it began; `None` if nobody knows.
    pub began: Option<Instant>,
    /// How long it took, in microseconds.
    pub total_us: u64,
    /// The total deadline, `None` without one.
    pub deadline_us: Option<u64>,
    /// How often the phases before `children` went round.
    pub passes: u32,
    /// The phases that ran, in order.
    pub phases: Vec<PhaseRecord>,
    /// What was waited for.
    pub blocked: Vec<Blocked>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Handlers left out for want of time, as their policy allows.
    pub skipped: Vec<Skipped>,
    /// Handlers that were started and not waited for.
    pub continued: Vec<Continued>,
    /// Locks that were taken over from threads that will never run again, the first of them.
    pub taken_over: Vec<TakenOver>,
    /// How many more locks were.
    pub more_taken_over: u64,
    /// Threads that the freeze stopped for good.
    pub stopped: Vec<String>,
    /// What the host's threads did, as far as the host said.
    pub threads: Vec<ThreadRecord>,
    /// How often the host spoke of threads for which there was no room.
    pub more_threads: u64,
    /// Threads still running inside after the freeze.
    pub runaways: Vec<String>,
    /// Threads that ended without detaching.
    pub undetached: Vec<String>,
    /// Bytes by destination.
    pub destinations: Vec<Destination>,
    /// Deliberate leaks.
    pub leaks: Vec<Leak>,
    /// Tracked objects that live on, by name.
    pub resurrected: Vec<Resurrected>,
    /// Calls refused inside dealloc callbacks, by object and call.
    pub violations: Vec<Violation>,
    /// Calls that were refused because they came too late.
    pub late_calls: u64,
    /// The accounts of its children that were finalized in the course of it, in the order in which
    /// they ended. All other fields, sums included, are about the runtime without them; but it is
    /// `Incomplete` if one of them is.
    pub children: Vec<Arc<Report>>,
    /// Why the runtime cannot be initialised again in this process without risk; empty if it can.
    pub not_restartable: Vec<String>,
    /// What else there was to say, and no memory to note it: failures, waits, leaks.
    pub unnoted: u64,
    /// Why the report could not be written where it was wished for; empty if it was, or nobody wished for it.
    pub unreported: String,
}

impl Blocked {
    /// The outcome of a wait that ended well.
    pub const CAME: &str = "came in the end";
    /// The outcome of a callback that took long, and not longer than it might.
    pub const ENDED: &str = "ended";
}

impl Report {
    /// Bytes that did not or may not arrive, over all destinations; without those of children.
    pub fn missing_bytes(&self) -> u64 {
        let missing = |d: &Destination| d.unwritten.saturating_add(d.in_flight);
        self.destinations.iter().fold(0, |sum, d| sum.saturating_add(missing(d)))
    }

    /// How much memory its names and texts take, about.
    pub(crate) fn size(&self) -> usize {
        const ENTRY: usize = 256;
        let mut size = 4096 + self.runtime.len() + self.unreported.len();
        let mut add = |texts: &[&str]| {
            size += ENTRY + texts.iter().map(|text| text.len()).sum::<usize>();
        };
        self.phases.iter().for_each(|phase| {
            let runs = phase.handlers.iter().chain(&phase.callbacks);
            runs.for_each(|run| add(&[&run.name]));
            phase.spans.iter().for_each(|_| add(&[]));
        });
        self.blocked.iter().for_each(|b| add(&[&b.what, &b.outcome]));
        self.failures.iter().for_each(|f| add(&[&f.name, &f.how]));
        self.skipped.iter().for_each(|s| add(&[&s.name]));
        self.continued.iter().for_each(|c| add(&[&c.name, &c.how]));
        self.destinations.iter().for_each(|d| add(&[&d.name, &d.reason]));
        self.leaks.iter().for_each(|l| add(&[&l.name, &l.reason]));
        self.resurrected.iter().for_each(|r| add(&[&r.object]));
        self.violations.iter().for_each(|v| add(&[&v.object, &v.call]));
        self.taken_over.iter().for_each(|t| add(&[&t.what]));
        for thread in &self.threads {
            add(&[&thread.name]);
            thread.stretches.iter().for_each(|stretch| add(&[&stretch.what]));
        }
        for list in [&self.stopped, &self.runaways, &self.undetached, &self.not_restartable] {
            list.iter().for_each(|text| add(&[text]));
        }
        self.children.iter().fold(size, |size, child| size.saturating_add(child.size()))
    }

    /// One sentence for an error text.
    pub fn headline(&self) -> String {
        let mut text = format!(
            "'{}': {} bytes missing, {} failures, {} runaways, {} leaks",
            self.runtime,
            self.missing_bytes(),
            self.failures.len(),
            self.runaways.len(),
            self.leaks.len()
        );
        if !self.unreported.is_empty() {
            text += ", the report is written nowhere";
        }
        if let incomplete @ 1.. = self.incomplete_children() {
            text += &format!(", {incomplete} of {} children incomplete", self.children.len());
        }
        text
    }

    /// How many of its children could not do everything.
    pub fn incomplete_children(&self) -> usize {
        self.children.iter().filter(|child| child.status.is_error()).count()
    }

    /// When the finalization of `child` began, in microseconds since this one did. Negative if
    /// another thread was at it already; `None` if nobody knows.
    pub fn start_of(&self, child: &Report) -> Option<i64> {
        let (began, child) = (self.began?, child.began?);
        let us = |later: Instant, earlier| {
            let span = later.saturating_duration_since(earlier);
            i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
        };
        Some(us(child, began) - us(began, child))
    }

    /// The record of `phase`, if it ran.
    pub fn phase(&self, phase: Phase) -> Option<&PhaseRecord> {
        self.phases.iter().find(|record| record.phase == phase)
    }
}
