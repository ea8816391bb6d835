//! The reclaim phase: the host's states of threads, deleted or kept on purpose.

use crate::finalize::Finalization;
use crate::phase::Phase;
use crate::report::ledger::{Leak, LeakKind};
use crate::runtime::lifecycle::Position;
use crate::thread::record::Liveness;

impl Finalization<'_> {
    /// Deletes the host states of threads that have exited or can never run again, and of this
    /// thread last; the others' go into the ledger (law 1: their threads may still look at them).
    /// So do all if a thread still ran inside after the freeze, or holds a guard: it may reach any.
    pub(crate) fn reclaim(&mut self) {
        let mut threads = std::mem::take(&mut self.runtime.registrations.lock().threads);
        threads.sort_by_key(|a| a.owner().id() == self.me.id());
        for thread in threads {
            if thread.ended_undetached() {
                self.notes.report.undetached.push(thread.describe());
            }
            let mine = thread.owner().id() == self.me.id();
            let never_again = thread.owner().liveness() != Liveness::Running
                || matches!(thread.position(), Position::Gone | Position::Parked);
            let kept_for = if !self.leaked_guards.is_empty() {
                "the holder of a guard that was never closed may reach it"
            } else if !mine && !never_again && thread.position() == Position::Inside {
                "the thread still runs inside"
            } else if !self.notes.report.runaways.is_empty() {
                "a thread that still ran inside after the freeze may look at it"
            } else if mine || never_again {
                self.notes.work(1);
                let name = thread.describe();
                let delete = || thread.delete_state();
                if let Some(outcome) = self.watch.during(Phase::Reclaim, &name, delete)
                    && outcome.failed()
                {
                    self.notes.failed(&name, outcome);
                }
                self.notes.callback(&name, self.watch.last());
                continue;
            } else {
                "the thread is outside and may still look at it"
            };
            if thread.has_state() {
                self.runtime.enter_leak(Leak {
                    kind: LeakKind::ThreadState,
                    name: thread.describe(),
                    bytes: 0,
                    reason: kept_for.to_owned(),
                });
                self.tell_news();
            }
        }
    }
}
