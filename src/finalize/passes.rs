//! The passes before the point of no return: guards, threads, pending calls, at-exit callbacks, round
//! and round until one finds nothing to do; and the step that closes admission.
//!
//! Threads still run here, and what they do can make work for a phase that is already past. That is
//! why CPython lost callbacks registered by late threads, and why the passes repeat.

use crate::finalize::Finalization;
use crate::finalize::watchdog::Notice;
use crate::phase::Phase;
use crate::runtime::attachment::Attachment;
use crate::runtime::exit_callbacks::Stack;
use crate::runtime::lifecycle::State;
use crate::runtime::registrations::Registrations;
use crate::sync::now;
use std::sync::Arc;

/// How many callbacks may follow one another in a drain, each registered by the one before.
pub(crate) const CHAIN_BOUND: u64 = 1_000_000;

impl Finalization<'_> {
    /// Goes round until a pass finds nothing to do, the bound is reached or the deadline passes.
    pub(crate) fn passes(&mut self) {
        loop {
            self.notes.report.passes += 1;
            self.busy = false;
            self.phase(Phase::Guards, Self::wait_for_guards);
            self.phase(Phase::Threads, Self::wait_for_threads);
            self.phase(Phase::Pending, Self::drain_pending);
            self.phase(Phase::AtExit, Self::drain_at_exit);
            if !self.busy {
                return;
            }
            if self.is_out_of_passes() {
                self.notes.cut_short();
                return;
            }
        }
    }

    fn is_out_of_passes(&self) -> bool {
        self.passes_deadline.passed() || self.notes.report.passes >= self.options.max_passes
    }

    /// The step to `freeze`, in one section of the registrations: if nothing came in meanwhile, nothing can
    /// any more. False: go round again.
    pub(crate) fn close_admission(&mut self) -> bool {
        let give_up = self.is_out_of_passes();
        // From here until the decision whoever wants to open a guard waits for it.
        if !self.hold_guards() && !give_up {
            self.let_guards();
            return false;
        }
        let left = {
            let mut registrations = self.runtime.registrations.lock();
            let waits = !self.gave_up_on_threads && registrations.holds_up(&self.me);
            let work = registrations.has_calls() || !registrations.children.is_empty();
            if (waits || work) && !give_up {
                drop(registrations);
                self.let_guards();
                return false;
            }
            registrations.closed = true;
            self.refuse_guards();
            self.runtime.gate().advance(State::Finalizing);
            // Nobody runs what is left: not a late `rt_pending_run` either.
            let children = std::mem::take(&mut registrations.children);
            (
                std::mem::take(&mut registrations.at_exit),
                std::mem::take(&mut registrations.pending),
                children,
            )
        };
        // Again, with nothing locked, for those who wait by rules that just changed.
        self.runtime.advance(State::Finalizing);
        for child in &left.2 {
            self.leak_child(child, "it was not finalized: out of passes or time");
        }
        let left = left.0.len() + left.1.len();
        if left > 0 {
            self.notes.failed("", format!("{left} callbacks were not run: out of passes or time"));
        }
        true
    }

    /// Waits for the non-daemon threads to detach. A thread may need a pending call made first.
    fn wait_for_threads(&mut self) {
        if self.gave_up_on_threads {
            return;
        }
        let since = now();
        let mut limit = self.phase_deadline();
        let mut times = 0;
        let mut notice = Notice::new(self.options.notice_us, since);
        let mut seen = 0;
        loop {
            let waited_for = self.threads_waited_for();
            seen = seen.max(waited_for.len());
            if waited_for.is_empty() {
                break;
            }
            self.busy = true;
            if limit.passed() {
                let late: Vec<_> = waited_for.iter().map(|a| a.late()).collect();
                times += 1;
                if let Some(again) = self.more_time(&late, since, times) {
                    limit = again;
                    continue;
                }
                for thread in &late {
                    self.notes.blocked(thread.describe(), since, "not waited for any longer");
                }
                self.notes.cut_short();
                self.gave_up_on_threads = true;
                break;
            }
            let registrations = &self.runtime.registrations;
            self.runtime.gate().wait_until(limit.min(notice.next()), || {
                !waited_for.iter().any(|a| a.holds_up_finalization())
                    || !registrations.lock().pending.is_empty()
            });
            let made = self.make_pending_calls();
            self.tell_news();
            if made == 0 && notice.is_due() {
                let names: Vec<_> =
                    self.threads_waited_for().iter().map(|a| a.late().describe()).collect();
                notice.say(self.runtime.name(), "to detach", &names);
            }
        }
        self.notes.work(seen as u64);
    }

    fn threads_waited_for(&self) -> Vec<Arc<Attachment>> {
        let registrations = self.runtime.registrations.lock();
        let others = registrations.threads.iter().filter(|a| a.owner().id() != self.me.id());
        others.filter(|a| a.holds_up_finalization()).cloned().collect()
    }

    fn drain_pending(&mut self) {
        let made = self.make_pending_calls();
        self.notes.work(made);
    }

    pub(crate) fn make_pending_calls(&mut self) -> u64 {
        let Finalization { notes, watch, runtime, .. } = self;
        let made = runtime.run_pending(|entry| {
            let outcome =
                watch.during(notes.phase(), &entry.name, || entry.call.call_for(&**runtime));
            notes.callback(&entry.name, watch.last());
            if outcome.failed() {
                notes.failed(&entry.name, outcome);
            }
        });
        self.busy |= made > 0;
        made
    }

    fn drain_at_exit(&mut self) {
        let made = self.drain_stack(|registrations| &mut registrations.at_exit);
        self.busy |= made > 0;
    }

    /// Last in, first out, until none is left; those registered meanwhile included. Returns how many.
    pub(crate) fn drain_stack(&mut self, stack: fn(&mut Registrations) -> &mut Stack) -> u64 {
        let (mut made, mut chain) = (0, 0);
        let mut registered_before = self.runtime.registrations.lock().next_id;
        loop {
            let entry = {
                let mut registrations = self.runtime.registrations.lock();
                let entry = stack(&mut registrations).pop();
                if entry.as_ref().is_some_and(|entry| entry.id >= registered_before) {
                    chain += 1;
                    registered_before = registrations.next_id;
                }
                if entry.is_none() || chain > CHAIN_BOUND {
                    // In one section with the look that ends the drain: what comes later is refused.
                    registrations.exit_functions_over = self.notes.phase() == Phase::ExitFunctions;
                }
                entry
            };
            let Some(entry) = entry else { return made };
            if chain > CHAIN_BOUND {
                let how = format!("not run: {CHAIN_BOUND} callbacks registered one another");
                self.notes.failed(&entry.name, how);
                return made;
            }
            made += 1;
            self.notes.work(1);
            let phase = self.notes.phase();
            let outcome =
                self.watch.during(phase, &entry.name, || entry.call.call_for(self.runtime));
            self.notes.callback(&entry.name, self.watch.last());
            if outcome.failed() {
                self.notes.failed(&entry.name, outcome);
            }
        }
    }
}
