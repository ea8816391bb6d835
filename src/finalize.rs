//! The finalization itself: the phases in their order, each with its budget, its handlers and its
//! place in the report.
//!
//! CPython's counterpart is `Py_FinalizeEx`. The order is the same where the two overlap; what is
//! new is that bytes are flushed before anything is torn down, that no step waits without a bound
//! once the runtime is frozen, and that nothing a live thread may touch is freed.

mod background;
mod children;
mod flush;
mod notifier;
mod objects;
pub(crate) mod passes;
pub(crate) mod preparations;
mod reclaim;
mod wait_guards;
pub(crate) mod watchdog;

use self::notifier::Told;
use crate::finalize::background::Started;
use crate::finalize::preparations::{bytes_first, provide};
use crate::finalize::watchdog::{Activity, Watch};
use crate::io::tell;
use crate::lock::buffered::Wait;
use crate::phase::Phase;
use crate::report::{Blocked, Looks, PhaseRecord, Recorder, Report, restart};
use crate::runtime::Runtime;
use crate::runtime::attachment::Attachment;
use crate::runtime::attachment::parked;
use crate::runtime::environment;
use crate::runtime::events::{Late, Subject};
use crate::runtime::guards::table::OpenGuard;
use crate::runtime::handlers::{Side, Work};
use crate::runtime::lifecycle::{Position, State};
use crate::runtime::options::Options;
use crate::runtime::overlapped::Settled;
use crate::runtime::reentry;
use crate::runtime::waits::{self, Awaiting};
use crate::status::{Result, Status};
use crate::sync::{Arc, Deadline, now};
use crate::sys::memory::with_reserve;
use crate::thread::host_call::Outcome;
use crate::thread::record::OwnerRef;
use crate::thread::this_thread;
use std::time::Duration;

/// What a call to finalize came to.
pub enum Finalized {
    /// This call did it.
    Now(Arc<Report>),
    /// Another thread did, while this one waited.
    ByAnother(Arc<Report>),
    /// It had been done before; nothing was done now.
    Before(Arc<Report>),
}

impl Finalized {
    /// The account of it, whoever did it.
    pub fn report(&self) -> &Arc<Report> {
        match self {
            Finalized::Now(report) | Finalized::ByAnother(report) | Finalized::Before(report) => {
                report
            }
        }
    }
}

/// Finalizes `runtime` from the calling thread, by the options the runtime has.
///
/// # Errors
/// As [`finalize_with`].
pub fn finalize(runtime: &Arc<Runtime>) -> Result<Finalized> {
    finalize_with(runtime, runtime.options())
}

/// Finalizes `runtime` from the calling thread, by `options`.
///
/// # Errors
/// `InCallback` from inside a callback of `runtime` or of a descendant of it, from inside a callback
/// of a writer or an in-flight operation, and from a signal handler over a thread that finalizes
/// `runtime` or a descendant of it: each would re-enter what the thread is in the middle of, or wait
/// for it. A callback may finalize any other runtime, so also its own runtime's children.
/// `Timeout` if another thread finalizes and does not end in time. Trouble during finalization is no
/// error of this call: the report has it.
pub fn finalize_with(runtime: &Arc<Runtime>, options: Options) -> Result<Finalized> {
    let join_us = options.join_us.max(0);
    // In a callback of another finalization: within the time of that.
    let bound = waits::bound();
    if let Some(done) = finalize_unless_begun(runtime, bound, || environment::apply(options))? {
        return Ok(done);
    }
    let key = Arc::as_ptr(runtime).addr();
    let finalizer = runtime.gate().finalizer().and_then(|id| this_thread::OWNERS.find(id));
    let awaiting = Awaiting::begin(key, finalizer.as_deref(), || {
        let who =
            finalizer.as_ref().map_or_else(|| "another thread".to_owned(), |by| by.describe());
        format!("the end of the finalization of '{}' by {who}", runtime.name())
    });
    let report = join(runtime, Deadline::after_us(join_us).min(bound))?;
    if let Some(awaiting) = awaiting.filter(|_| report.is_none()) {
        awaiting.give_up();
    }
    let timeout = || Status::Timeout.because("another thread is finalizing and has not ended");
    report.map(Finalized::ByAnother).ok_or_else(timeout)
}

/// Finalizes `runtime` until `bound` at the latest; `None` if another thread has begun to. `options` is
/// asked once it has begun.
pub(crate) fn finalize_unless_begun(
    runtime: &Arc<Runtime>,
    bound: Deadline,
    options: impl FnOnce() -> Options,
) -> Result<Option<Finalized>> {
    if reentry::forbids_finalizing(runtime) {
        return Err(Status::InCallback.error());
    }
    let me = this_thread::owner()?;
    #[cfg(windows)]
    crate::runtime::registry::lose_the_killed(&me, runtime);
    // The state first: the report is there a moment before the other thread is done.
    if runtime.state() == State::Finalized
        && let Some(report) = runtime.outcome()
    {
        let cut = runtime.hears_of_cut();
        return Ok(Some(if cut {
            Finalized::ByAnother(report)
        } else {
            Finalized::Before(report)
        }));
    }
    // Before it begins: a signal handler in between is refused.
    let finalizing = || {
        if runtime.state() != State::Running {
            return Ok(None);
        }
        let mut options = options();
        let watches_brief_work = options.is_asked_to_watch();
        options.notice_us = options.notice_from_us();
        parked::notices_begin_after(options.notice_us);
        let watch = provide(runtime, &me, &options)?;
        let begun = runtime.begin(me.id());
        let finalize =
            || Finalized::Now(run(runtime, me, bound, (options, watches_brief_work), watch));
        Ok(begun.then(|| Attachment::while_finalizing(runtime, finalize)))
    };
    with_reserve(|| reentry::finalizing(runtime, finalizing))
}

fn run(
    runtime: &Arc<Runtime>,
    me: OwnerRef,
    bound: Deadline,
    (options, watches_brief_work): (Options, bool),
    watch: Watch,
) -> Arc<Report> {
    let _shield = crate::sys::cancellation::Shield::up();
    runtime.grace().refill(options.grace_us.max(0));
    let deadline_us = u64::try_from(options.deadline_us).ok();
    let own_deadline = Deadline::after_us(options.deadline_us);
    // What ends the process goes by the finalization's own deadline, and not by the bound.
    let timed = Options { deadline_us: bound.min(own_deadline).left_us(), ..Options::default() };
    Finalization {
        runtime,
        me,
        deadline: Deadline::after_us(timed.deadline_us),
        passes_deadline: Deadline::after_us(timed.passes_deadline_us()),
        callbacks_deadline: Deadline::after_us(options.callbacks_deadline_us()),
        phase_deadline: Deadline::NEVER,
        watch,
        told: Told::default(),
        options,
        notes: Recorder::begin(runtime.id(), runtime.name(), deadline_us),
        watches_brief_work,
        busy: false,
        gave_up_on_threads: false,
        gave_up_on_guards: false,
        guard_window_ms: 1,
        open_at_the_step: Vec::new(),
        leaked_guards: Vec::new(),
        continued: Vec::new(),
    }
    .run()
}

/// How much of the deadline the flush leaves to what comes after it, of little time a tenth.
const KEPT_FOR_THE_REST: Duration = Duration::from_millis(100);

fn end_of_flush(deadline: Deadline) -> Deadline {
    deadline.left().map_or(Deadline::NEVER, |left| {
        Deadline::after(left.saturating_sub(KEPT_FOR_THE_REST.min(left / 10)))
    })
}

/// Waits for the thread that finalizes already; `None` if it has not ended by `deadline`.
pub(crate) fn join(runtime: &Arc<Runtime>, deadline: Deadline) -> Result<Option<Arc<Report>>> {
    let attachment = Attachment::of_this_thread(runtime);
    if let Some(attachment) = &attachment
        && attachment.position() == Position::Inside
    {
        // The freezer must not wait for a thread that waits for the freezer.
        attachment.leave()?;
    }
    let wait = || runtime.gate().wait_until(deadline, || runtime.state() == State::Finalized);
    let ended = match &attachment {
        Some(attachment) => attachment.while_awaiting_finalizer(wait),
        None => wait(),
    };
    Ok(runtime.outcome().filter(|_| ended))
}

/// A finalization under way, on its thread.
pub(crate) struct Finalization<'a> {
    pub(crate) runtime: &'a Arc<Runtime>,
    pub(crate) me: OwnerRef,
    pub(crate) deadline: Deadline,
    /// When the waits before the freeze must end.
    pub(crate) passes_deadline: Deadline,
    /// When the listener is asked about a callback before the freeze.
    callbacks_deadline: Deadline,
    phase_deadline: Deadline,
    pub(crate) options: Options,
    pub(crate) notes: Recorder,
    pub(crate) watch: Watch,
    pub(crate) told: Told,
    /// Handlers that never wait are watched, too.
    watches_brief_work: bool,
    /// The present pass did something, so another must look.
    pub(crate) busy: bool,
    /// The budget for threads that do not detach is spent.
    pub(crate) gave_up_on_threads: bool,
    /// The budget for guards that do not close is spent.
    pub(crate) gave_up_on_guards: bool,
    /// How long the next step to the freeze gives open guards to close.
    pub(crate) guard_window_ms: u64,
    /// The guards that were open when the step to the freeze was tried last, as far as they were granted.
    pub(crate) open_at_the_step: Vec<OpenGuard>,
    /// The guards that were still open after the freeze: nothing of the host's that their holders may
    /// reach is freed.
    pub(crate) leaked_guards: Vec<String>,
    /// The handlers that were started and not waited for.
    pub(crate) continued: Vec<Started>,
}

impl Finalization<'_> {
    fn run(mut self) -> Arc<Report> {
        self.listen();
        loop {
            self.passes();
            self.phase(Phase::Children, Self::finalize_children);
            self.phase(Phase::FlushEarly, Self::flush_early);
            if self.close_admission() {
                break;
            }
        }
        self.phase(Phase::Freeze, Self::freeze);
        self.phase(Phase::FlushFrozen, Self::flush_frozen);
        self.phase(Phase::Finalize, Self::finalize_objects);
        self.phase(Phase::FlushLate, Self::flush_frozen);
        self.phase(Phase::Dealloc, Self::dealloc_objects);
        self.phase(Phase::Overlapped, Self::settle_operations);
        self.phase(Phase::Reclaim, Self::reclaim);
        self.phase(Phase::ExitFunctions, |this| {
            this.drain_stack(|registrations| &mut registrations.exit_functions);
        });
        self.seal_writers();
        self.conclude()
    }

    /// When the present phase's own waits must end.
    pub(crate) fn phase_deadline(&self) -> Deadline {
        self.phase_deadline
    }

    pub(crate) fn phase(&mut self, phase: Phase, work: impl FnOnce(&mut Self)) {
        let mut budget_us = self.options.budget_us(phase);
        if budget_us < 0 && phase >= Phase::FlushEarly {
            budget_us = phase.default_budget_us();
        }
        // A phase that repeats has one budget for all its passes.
        let spent_us = self.notes.report.phase(phase).map_or(0, PhaseRecord::us);
        let left = |budget_us: i64| match u64::try_from(budget_us) {
            Ok(budget_us) => i64::try_from(budget_us.saturating_sub(spent_us)).unwrap_or(i64::MAX),
            Err(_) => -1,
        };
        let end = match phase {
            Phase::FlushFrozen => end_of_flush(self.deadline),
            _ if phase < Phase::FlushEarly => self.passes_deadline,
            _ => self.deadline,
        };
        self.phase_deadline = Deadline::after_us(left(budget_us)).min(end);
        self.runtime.set_phase_deadline(self.phase_deadline);
        if phase < Phase::FlushEarly {
            bytes_first(self.runtime, Deadline::after_us(0));
        }
        self.notes.enter(phase, u64::try_from(budget_us).ok());
        self.watch.keep_for_the_last_report(&self.notes);
        let callbacks_us = left(self.options.callbacks_us[phase.index()]);
        let mut due = Deadline::after_us(callbacks_us);
        // Only a budget of the host's own binds a callback's waits: a default one is for the library's.
        self.runtime.waits().allow_until(due.min(end));
        if phase < Phase::Freeze && self.watch.has_listener() {
            due = due.min(self.callbacks_deadline);
        }
        self.watch.enter(phase, due);
        self.tell_begin(phase);
        self.run_handlers(phase, Side::BeforeWork);
        work(self);
        self.run_handlers(phase, Side::AfterWork);
        if phase == Phase::Finalize {
            self.finalize_late_objects();
        }
        self.notes.report.failures.extend(self.runtime.take_failures(phase));
        for long in self.watch.take_long() {
            if long.is_late {
                self.notes.took_too_long(long.what, long.since, long.took_us, "not interrupted");
            } else {
                self.notes.waited(long.what, long.since, long.took_us, Blocked::ENDED);
            }
        }
        for wait in self.watch.take_waits() {
            let outcome = wait.outcome.text();
            if wait.outcome == waits::Outcome::Cut {
                self.notes.took_too_long(wait.what, wait.since, wait.us, outcome);
                self.notes.incomplete();
            } else {
                self.notes.waited(wait.what, wait.since, wait.us, outcome);
            }
        }
        for wait in self.runtime.take_waits() {
            self.notes.waited(wait.what, wait.since, wait.us, &wait.outcome);
            if wait.is_cut {
                self.notes.cut_short();
            }
        }
        self.tell_end(phase);
        self.notes.leave();
    }

    /// Runs the host's handlers. One that returns `Again` makes the passes go round again.
    fn run_handlers(&mut self, phase: Phase, side: Side) {
        let mut turn = {
            let mut registrations = self.runtime.registrations.lock();
            let next_id = registrations.next_id;
            registrations.handlers.turn(phase, side, next_id)
        };
        loop {
            let next = {
                let mut registrations = self.runtime.registrations.lock();
                let next = registrations.handlers.next(&mut turn);
                if next.is_none() && side == Side::AfterWork {
                    // In one section with the look that found none: what comes later is refused.
                    registrations.handlers_over = Some(phase);
                }
                next
            };
            let Some(handler) = next else { break };
            if handler.work == Work::Continue {
                self.start_continued(&handler);
                continue;
            }
            if handler.work == Work::Skip && self.phase_deadline.passed() {
                self.notes.skipped(&handler.name);
                continue;
            }
            let since = now();
            let call = || handler.call.call_for(self.runtime);
            let outcome = match handler.work {
                Work::Brief if !self.watches_brief_work => {
                    self.watch.briefly(phase, &handler.name, call)
                }
                _ => self.watch.during(phase, &handler.name, call),
            };
            self.notes.handler(&handler.name, since);
            if outcome.failed() {
                self.notes.failed(&handler.name, outcome);
            }
            if outcome == Outcome::Returned(Status::Again as i32) {
                self.busy = true;
            }
        }
    }

    /// Stops the other threads. What is still inside afterwards is a runaway.
    fn freeze(&mut self) {
        let since = now();
        let threads = self.runtime.registrations.lock().threads.clone();
        let me = self.me.id();
        let inside =
            |a: &&Arc<Attachment>| a.owner().id() != me && a.position() == Position::Inside;
        let stopped = self
            .runtime
            .gate()
            .wait_until(self.phase_deadline, || !threads.iter().any(|a| inside(&a)));
        for thread in threads.iter().filter(|a| a.position() == Position::Parked) {
            self.notes.work(1);
            self.notes.stopped(|| thread.describe());
        }
        if !stopped {
            let runaways: Vec<_> = threads.iter().filter(inside).map(|a| a.late()).collect();
            self.overran(&runaways, since, 1);
            for runaway in &runaways {
                let name = runaway.describe();
                self.notes.blocked(name.clone(), since, "left running as a runaway");
                self.notes.report.runaways.push(name);
            }
            self.notes.cut_short();
        }
        self.note_leaked_guards();
    }

    /// In-flight operations: a bounded cancel each, out of one budget, else a deliberate leak.
    fn settle_operations(&mut self) {
        let since = now();
        let operations = std::mem::take(&mut self.runtime.registrations.lock().operations);
        for operation in &operations {
            operation.cancel_for_finalization();
        }
        for operation in operations {
            self.notes.work(1);
            match operation.settle_for_finalization(self.me.id(), self.phase_deadline) {
                Settled::Done => {}
                Settled::Unloaded(leak) => {
                    self.notes.failed(&leak.name, Outcome::Unloaded);
                    self.runtime.enter_leak(leak);
                    self.tell_news();
                }
                Settled::Leaked(leak) => {
                    if self.phase_deadline.passed() {
                        let what = format!("operation '{}', which is pending", leak.name);
                        let name = leak.name.clone();
                        let late = Late::kept_by(None, Subject::Operation, name, what);
                        self.overran(&[late], since, 1);
                    }
                    self.runtime.enter_leak(leak);
                    self.tell_news();
                }
            }
        }
    }

    /// Closes the report, and with it the runtime's life.
    fn conclude(mut self) -> Arc<Report> {
        let runtime = self.runtime;
        self.tell_the_last();
        {
            let mut registrations = runtime.registrations.lock();
            self.notes.report.leaks = std::mem::take(&mut registrations.leaks);
            self.notes.report.children = std::mem::take(&mut registrations.child_reports);
            self.notes.report.unnoted += std::mem::take(&mut registrations.unnoted);
            let looks = std::mem::replace(&mut registrations.looks, Looks::new());
            drop(registrations);
            self.notes.threads(&looks);
        }
        self.account_for_objects();
        self.account_for_continued();
        let report = &mut self.notes.report;
        report.late_calls = runtime.late_calls().load(crate::sync::Ordering::Relaxed);
        let incomplete = report.incomplete_children() > 0;
        if self.deadline.passed() || incomplete {
            report.status = Status::Incomplete;
        }
        let because = &mut report.not_restartable;
        because.extend(report.runaways.iter().map(|who| restart::by_runaway(who)));
        because.extend(self.leaked_guards.iter().map(|guard| restart::by_guard(guard)));
        report.runaways.append(&mut self.leaked_guards);
        because.extend(report.leaks.iter().map(restart::by_leak));
        because.extend(report.children.iter().flat_map(|child| {
            child.not_restartable.iter().map(|why| restart::by_child(child, why))
        }));
        let mut report = Arc::new(self.notes.finish());
        let nested = runtime.hand_to_parent(&report);
        // Before the end: another thread that waited for it may call exit() at once.
        if !nested
            && let Some(wish) = self.options.report.take()
            && let Some(report) = Arc::get_mut(&mut report)
        {
            let (place, deadline) = (wish.place(), self.options.report_deadline(self.deadline));
            let grant = || wish.grant(report, &place, deadline);
            let shown = place.to_string_lossy();
            let last = Phase::ExitFunctions;
            if let Err(why) = self.watch.doing(Activity::Report, last, &shown, grant) {
                tell(format_args!("rtfinalize: {why}"));
                report.unreported = why;
            }
        }
        drop(self.watch);
        runtime.end(report.clone());
        runtime.leave_parent();
        report
    }
}
