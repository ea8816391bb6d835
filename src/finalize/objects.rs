//! The two passes over the tracked objects.

use super::Finalization;
use super::passes::CHAIN_BOUND;
use crate::phase::Phase;
use crate::report::ledger::{Leak, LeakKind};
use crate::report::{Resurrected, Violation};
use crate::runtime::objects::{Objects, RESURRECTED};
use crate::sys::memory::try_put;

/// Stands for the objects beyond those that are told apart.
const OTHERS: &str = "other objects";

impl Finalization<'_> {
    /// Finalizes every object, and those that are tracked meanwhile.
    pub(crate) fn finalize_objects(&mut self) {
        let mut left = self.most_objects();
        while left > 0 && self.finalize_one() {
            left -= 1;
        }
    }

    /// Finalizes what the phase's last handlers tracked; what comes later is refused.
    pub(crate) fn finalize_late_objects(&mut self) {
        let mut left = self.most_objects();
        loop {
            if left > 0 && self.finalize_one() {
                left -= 1;
                continue;
            }
            let waiting = {
                let mut registrations = self.runtime.registrations.lock();
                let waiting = registrations.objects.waiting_len();
                // In one section with the look that ends the pass: what comes later is refused.
                registrations.objects.closed = waiting == 0 || left == 0;
                waiting
            };
            if waiting == 0 {
                return;
            }
            if left == 0 {
                let how = format!("not finalized: {waiting} objects that tracked one another");
                return self.notes.failed("", how);
            }
        }
    }

    /// How many objects a pass finalizes: those there are, and a bounded chain of others.
    fn most_objects(&self) -> u64 {
        self.runtime.registrations.lock().objects.waiting_len().saturating_add(CHAIN_BOUND)
    }

    fn finalize_one(&mut self) -> bool {
        let runtime = self.runtime;
        let next = {
            let mut registrations = runtime.registrations.lock();
            let next = registrations.objects.next_waiting();
            // It was found in this section: it can be begun.
            next.filter(|object| registrations.objects.begin(object.handle).is_ok())
        };
        let Some(object) = next else { return false };
        self.notes.work(1);
        let finalize = || object.calls.finalize();
        let outcome = self.watch.during(Phase::Finalize, &object.name, finalize);
        self.notes.callback(&object.name, self.watch.last());
        if outcome.failed() {
            self.notes.failed(&object.name, format_args!("finalize {outcome}"));
        }
        let mut registrations = runtime.registrations.lock();
        // An object that its own finalize untracked is its host's.
        let _gone = match outcome {
            RESURRECTED => registrations.objects.resurrected(object.handle).is_err(),
            _ => registrations.objects.finished(object.handle).is_err(),
        };
        true
    }

    /// Deallocates every object that was finalized; none if a thread still runs inside.
    pub(crate) fn dealloc_objects(&mut self) {
        let runtime = self.runtime;
        if !self.notes.report.runaways.is_empty() || !self.leaked_guards.is_empty() {
            let reason = "a thread that still runs inside, or holds a guard, may touch it";
            runtime.registrations.lock().objects.keep_finalized(reason);
        }
        runtime.registrations.lock().objects.keep_unfinished();
        loop {
            let Some(object) = runtime.registrations.lock().objects.take_finalized() else {
                return;
            };
            self.notes.work(1);
            let dealloc = || runtime.deallocate(&object);
            let outcome = self.watch.during(Phase::Dealloc, &object.name, dealloc);
            self.notes.callback(&object.name, self.watch.last());
            if outcome.failed() {
                self.notes.failed(&object.name, format_args!("dealloc {outcome}"));
            }
        }
    }

    /// Enters in the report what is to be said of the objects, and gives their memory back.
    pub(crate) fn account_for_objects(&mut self) {
        let objects = {
            let mut registrations = self.runtime.registrations.lock();
            let objects = std::mem::replace(&mut registrations.objects, Objects::new());
            registrations.objects.closed = true;
            objects
        };
        let report = &mut self.notes.report;
        let name = |name: Option<&str>| name.unwrap_or(OTHERS).to_owned();
        for (object, count) in objects.resurrected.into_counts() {
            let object = name(object.as_deref());
            report.resurrected.push(Resurrected { object, count });
        }
        for (key, count) in objects.violations.into_counts() {
            let (object, call) = key.map_or((None, "the library"), |(o, call)| (Some(o), call));
            let (object, call) = (name(object.as_deref()), call.to_owned());
            report.violations.push(Violation { object, call, count });
        }
        let known = report.leaks.len();
        for (key, count) in objects.kept.into_counts() {
            let (object, reason) =
                key.map_or((None, "as those above"), |(object, reason)| (Some(object), reason));
            let reason =
                if count == 1 { reason.to_owned() } else { format!("{reason} ({count} objects)") };
            let name = name(object.as_deref());
            let leak = Leak { kind: LeakKind::Object, name, bytes: 0, reason };
            crate::report::tracepoints::leak(self.runtime.id(), &leak);
            if !try_put(&mut report.leaks, leak) {
                report.unnoted += 1;
            }
        }
        if self.hears() {
            let kept = self.notes.report.leaks[known..].to_vec();
            for leak in &kept {
                self.tell_leak(leak);
            }
        }
    }
}
