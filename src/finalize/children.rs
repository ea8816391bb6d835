//! Runtimes in a tree: each is finalized before its parent, the youngest first.
//!
//! CPython's counterpart is the subinterpreter. There `Py_FinalizeEx` leaves those its host forgot to
//! end to be cleared late, when the main interpreter is half gone. Here a parent keeps its children in
//! its registrations: the step that closes admission sees them together with threads and callbacks, so a
//! child made while the parent runs its passes is finalized too, and none can be made after.
//!
//! # Time
//!
//! A child is finalized by its own options within what its parent has left: of the time the
//! `children` phase has, or half of what the total deadline has when that is over; and of half of
//! the grace, for all flushes of the tree share one.

use crate::finalize::watchdog::{Activity, Notice};
use crate::finalize::{Finalization, Finalized, finalize_unless_begun, join};
use crate::report::ledger::{Leak, LeakKind};
use crate::runtime::Runtime;
use crate::runtime::events::{Late, Subject};
use crate::sync::{Arc, Deadline, now};
use crate::thread::this_thread::OWNERS;

impl Finalization<'_> {
    /// Finalizes the children there are now. Those that come meanwhile are another pass's work.
    pub(crate) fn finalize_children(&mut self) {
        let children = self.runtime.registrations.lock().children.clone();
        if !children.is_empty() {
            self.flush_before_children();
        }
        for child in children.iter().rev() {
            // One may have ended another, or been ended, in a callback.
            if self.runtime.registrations.lock().knows_child(child) {
                self.finalize_child(child);
            }
        }
    }

    fn finalize_child(&mut self, child: &Arc<Runtime>) {
        let mut options = child.options();
        let own = Deadline::after_us(options.deadline_us);
        options.deadline_us = own.min(self.time_for_a_child()).left_us();
        options.grace_us = options.grace_us.max(0).min(self.runtime.grace().left_us() / 2);
        let (grace_us, join_us) = (options.grace_us, options.join_us.max(0));
        if options.on_event.is_none() {
            options.on_event.clone_from(&self.options.on_event);
        }
        let phase = self.notes.phase();
        let begun = self.watch.doing(Activity::Child, phase, child.name(), || {
            finalize_unless_begun(child, Deadline::NEVER, || options)
        });
        let ended = match begun {
            Ok(Some(Finalized::Now(_))) => {
                self.runtime.grace().spend(grace_us - child.grace().left_us());
                Ok(())
            }
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.wait_for_child(child, Deadline::after_us(join_us)),
            Err(error) => Err(error.to_string()),
        };
        self.notes.work(1);
        if let Err(why) = ended {
            self.leak_child(child, &why);
        }
        child.leave_parent();
    }

    /// Until when a child may take.
    fn time_for_a_child(&self) -> Deadline {
        let phase = self.phase_deadline();
        match self.deadline.left() {
            Some(left) if phase.passed() => Deadline::after(left / 2),
            _ => phase,
        }
    }

    /// Waits for another thread that finalizes the child.
    fn wait_for_child(
        &mut self,
        child: &Arc<Runtime>,
        limit: Deadline,
    ) -> std::result::Result<(), String> {
        let since = now();
        let mut limit = limit.min(self.phase_deadline());
        let mut times = 0;
        let mut notice = Notice::new(self.options.notice_us, since);
        loop {
            match join(child, limit.min(notice.next())) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if !limit.passed() => {}
                Ok(None) => {
                    times += 1;
                    match self.more_time(&[late_child(child)], since, times) {
                        Some(again) => limit = again,
                        None => break,
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
            if notice.is_due() {
                let name = format!("child '{}'", child.name());
                notice.say(self.runtime.name(), "to be finalized by another thread", &[name]);
            }
        }
        self.notes.blocked(late_child(child).describe(), since, "left to that thread");
        self.notes.cut_short();
        Err("another thread was still finalizing it".to_owned())
    }

    /// Enters a child in the ledger: it goes on without its parent.
    pub(crate) fn leak_child(&mut self, child: &Runtime, reason: &str) {
        let (name, reason) = (child.name().to_owned(), reason.to_owned());
        self.runtime.enter_leak(Leak { kind: LeakKind::Child, name, bytes: 0, reason });
        self.notes.incomplete();
        self.tell_news();
    }
}

/// A child that another thread finalizes, as something that is waited for too long.
fn late_child(child: &Runtime) -> Late {
    let name = child.name().to_owned();
    let what = format!("child '{name}', which another thread finalizes");
    let finalizer = child.gate().finalizer().and_then(|id| OWNERS.find(id));
    Late::kept_by(finalizer.as_deref(), Subject::Child, name, what)
}
