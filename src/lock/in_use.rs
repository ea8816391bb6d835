//! Whether an operation is under way in something, and the end of all operations in it.
//!
//! The last word of a process must use what stuck threads hold the locks of. It cannot wait for a
//! lock; but it can forbid operations, and see that none is under way:
//!
//! ```text
//!   operation:  occupied = 1                   last word:  over = 1, in everything
//!               light()                                    heavy(), once
//!               over? then nothing is touched              occupied? then it is not touched
//! ```
//!
//! At least one of the two sees the other ([`crate::sync::fence`]). So what is found vacant after the
//! fence stays so, whoever holds its lock, and belongs to the last word.

use crate::sync::{AtomicU32, Mutation, Ordering, fence, mutated};

/// One operation at a time is in it: the caller sees to that.
pub struct InUse {
    occupied: AtomicU32,
    over: AtomicU32,
}

impl InUse {
    /// Vacant.
    pub fn new() -> InUse {
        InUse { occupied: AtomicU32::new(0), over: AtomicU32::new(0) }
    }

    /// An operation begins. False if there shall be none any more: it must touch nothing.
    #[inline]
    pub fn enter(&self) -> bool {
        // Relaxed, both: the fences order them, see the module's head.
        self.occupied.store(1, Ordering::Relaxed);
        if !mutated(Mutation::OperationSkipsLightFence) {
            fence::light();
        }
        if self.over.load(Ordering::Relaxed) != 0 {
            self.occupied.store(0, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// The operation ends.
    #[inline]
    pub fn leave(&self) {
        // Release: pairs with the Acquire in `is_vacant`, so the last word sees what was done.
        self.occupied.store(0, Ordering::Release);
    }

    /// Whether an operation is under way. For the thread that would be in it.
    #[inline]
    pub fn is_occupied(&self) -> bool {
        // Relaxed: the thread's own store.
        self.occupied.load(Ordering::Relaxed) != 0
    }

    /// No operation shall begin any more, from [`ends_are_known`] on.
    pub fn end(&self) {
        self.over.store(1, Ordering::Relaxed);
    }

    /// Whether no operation is under way. After [`ends_are_known`], none ever is again.
    pub fn is_vacant(&self) -> bool {
        // Acquire: see `leave`.
        self.occupied.load(Ordering::Acquire) == 0
    }
}

impl Default for InUse {
    fn default() -> InUse {
        InUse::new()
    }
}

/// Makes every [`InUse::end`] before it known to all threads.
pub fn ends_are_known() {
    if !mutated(Mutation::LastWordSkipsHeavyFence) {
        fence::heavy();
    }
}
