//! Writers in the child of a `fork`.
//!
//! What a writer had accepted and not written is in both processes' memory. It must be written once, so
//! one of them has it: the parent, whose callers were told that it is accepted. In the child the buffer
//! is empty, the account begins at zero and says how much was left to the parent. A writer made so
//! (`keeps_over_fork`) keeps it in the child instead, for a parent that ends without finalizing.
//!
//! The numbers are set right in the child's hook, which has the process for itself and only stores to
//! atomics. The buffer is another matter: its owner may be a thread that was not copied, in the middle
//! of a change. So the hook only says what is to become of it, and the first operation does that
//! under the lock. Where bytes are to be kept, changes of the buffer hold a pass of the fork's gate,
//! so that no fork finds one half done.

use super::buffer::Core;
use super::{Writer, rescue_list};
use crate::lock::recoverable::Hold;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fork};
use crate::thread::record::OwnerId;

/// What a fork left in a writer.
#[derive(Default)]
pub(super) struct Inheritance {
    /// What is to become of the buffer: one of the constants below.
    buffer: AtomicU32,
    left_to_parent: AtomicU64,
}

/// It is this process's own.
const OWN: u32 = 0;
/// It is whole, and its bytes are the parent's.
const PARENTS: u32 = 1;
/// A thread that was not copied may have been changing it.
const TORN: u32 = 2;

impl Inheritance {
    pub(super) fn left_to_parent(&self) -> u64 {
        self.left_to_parent.load(Ordering::Relaxed)
    }
}

/// In the child of a `fork`, whose one thread is `survivor` if the library knows it.
pub(crate) fn forked(survivor: Option<OwnerId>) {
    rescue_list::forked(|writer| writer.forked(survivor));
}

// Everything here is Relaxed: the process has one thread.
impl Writer {
    fn forked(&self, survivor: Option<OwnerId>) {
        if self.accepted.is_sealed() {
            // Its account is closed, and the report that tells of it was copied too.
            return;
        }
        let left = self.accepted.count().saturating_sub(self.flow.written());
        let in_flight = self.flow.in_flight() + self.flow.missing();
        let (holder, in_use) = (self.core.lock().holder(), self.core.is_in_use());
        let mine = holder.is_some() && holder == survivor;
        if in_use && !mine {
            self.core.end_use();
        }
        let keep = self.keeps_over_fork && in_flight == 0 && !(mine && in_use);
        self.accepted.begin_anew(if keep { left } else { 0 });
        self.flow.begin_anew();
        if keep {
            return;
        }
        self.inheritance.left_to_parent.store(left, Ordering::Relaxed);
        let whole = mine || (holder.is_none() && !in_use && self.core.is_copied_at_once());
        // What was torn once stays so until it is used.
        let former = self.inheritance.buffer.load(Ordering::Relaxed);
        let buffer = if whole { PARENTS } else { TORN };
        self.inheritance.buffer.store(buffer.max(former), Ordering::Relaxed);
    }

    /// Does with the buffer what a fork left to be done. Returns whether it left something.
    #[inline]
    pub(super) fn begin_after_fork(&self, core: &mut Hold<'_, Core>) -> bool {
        // Under the lock: one operation finds it.
        let buffer = self.inheritance.buffer.load(Ordering::Relaxed);
        if buffer == OWN {
            return false;
        }
        self.inheritance.buffer.store(OWN, Ordering::Relaxed);
        self.core.lock().take_progress();
        core.begin_anew(buffer == TORN);
        true
    }

    /// While it lives no fork happens, if this writer's bytes are to be found whole by a child.
    #[inline]
    pub(super) fn whole_over_fork(&self) -> Option<fork::Pass> {
        self.keeps_over_fork.then(fork::enter)
    }
}
