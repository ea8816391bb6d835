//! A buffered lock with what it protects.
//!
//! One rule beyond the lock's: what it protects is used by one operation at a time. A holder may
//! keep the lock over several operations ([`Hold::keep`]), but an operation inside another, from
//! a callback or a signal handler, is refused.

use crate::lock::buffered::{Acquired, BufferedLock, Rules};
use crate::lock::in_use::InUse;
use crate::status::{Result, Status};
use crate::sync::{AtomicU64, Deadline, Ordering};
use crate::thread::this_thread;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

/// Data behind a [`BufferedLock`].
pub struct Recoverable<T> {
    lock: BufferedLock,
    /// Whether the holder is in an operation.
    use_now: InUse,
    /// The id of the holder that keeps the lock between operations, else 0. By id, so that what an
    /// owner that is gone left here says nothing of the one that took over.
    kept_by: AtomicU64,
    data: UnsafeCell<T>,
}

// SAFETY: the data is only reached through a `Hold`, of which one exists at a time: the lock admits
// one thread, and `use_now` one operation of that thread; or, once operations are over, through
// `take_for_good`.
unsafe impl<T: Send> Sync for Recoverable<T> {}

/// Exclusive use of the data, for one operation.
///
/// It stays on its thread, which owns the lock: on another one the lock would be taken over from it as
/// soon as this thread ends.
pub struct Hold<'a, T> {
    guarded: &'a Recoverable<T>,
    _not_send: std::marker::PhantomData<*const ()>,
    /// Whether the lock was taken over, from an owner that will never run again.
    pub is_recovered: bool,
    /// Whether dropping the hold leaves the lock held.
    keep: bool,
}

impl<T> Recoverable<T> {
    /// Protects `data`; the lock follows the runtime of this id.
    pub fn new(runtime: u32, data: T) -> Recoverable<T> {
        Recoverable {
            lock: BufferedLock::following(runtime),
            use_now: InUse::new(),
            kept_by: AtomicU64::new(0),
            data: UnsafeCell::new(data),
        }
    }

    /// The lock itself.
    pub fn lock(&self) -> &BufferedLock {
        &self.lock
    }

    /// Begins an operation.
    ///
    /// # Errors
    /// As [`BufferedLock::acquire_as`]; `Reentrant` from inside another operation; `Finalizing` when
    /// operations are over.
    pub fn acquire(&self, rules: &impl Rules, deadline: Deadline) -> Result<Hold<'_, T>> {
        let me = this_thread::id()?;
        let (is_recovered, keep) = if self.lock.take_free(me) {
            (false, false)
        } else if self.lock.is_held_by(me) {
            if self.use_now.is_occupied() || self.kept_by.load(Ordering::Relaxed) != me.get() {
                return Err(Status::Reentrant.error());
            }
            (false, true)
        } else {
            let taken = self.lock.acquire_as(&*this_thread::owner()?, rules, deadline)?;
            (taken == Acquired::Recovered, false)
        };
        if !self.use_now.enter() {
            if !keep {
                self.lock.release_as(me)?;
            }
            return Err(Status::Finalizing.because("the process ends"));
        }
        Ok(Hold { guarded: self, _not_send: std::marker::PhantomData, is_recovered, keep })
    }

    /// Whether the holder is in an operation.
    pub(crate) fn is_in_use(&self) -> bool {
        self.use_now.is_occupied()
    }

    /// Whether lock and data are on one page. A `fork` copies memory page by page while other threads
    /// run: only then, if it finds the lock free, it finds the data as the last holder left it.
    pub(crate) fn is_copied_at_once(&self) -> bool {
        const PAGE: usize = 4096;
        let start = std::ptr::from_ref(self).addr();
        start / PAGE == (start + size_of::<Recoverable<T>>() - 1) / PAGE
    }

    /// The holder will never run again, and nobody else uses the data now: the child of a `fork` says so.
    pub(crate) fn end_use(&self) {
        self.use_now.leave();
    }

    /// No operation shall begin any more, whoever has the lock.
    pub(crate) fn end_operations(&self) {
        self.use_now.end();
    }

    /// What it protects, if no operation is under way. To be asked after
    /// [`ends_are_known`](crate::lock::in_use::ends_are_known), by the one thread that ended operations:
    /// then the data is that thread's alone.
    pub(crate) fn take_for_good(&self) -> Option<*mut T> {
        self.use_now.is_vacant().then(|| self.data.get())
    }

    /// The calling thread, which holds the lock by [`Hold::keep`], gives it back.
    ///
    /// # Errors
    /// `NotOwner`; `State` from inside an operation.
    pub fn release_kept(&self) -> Result<()> {
        let me = this_thread::id()?;
        if !self.lock.is_held_by(me) {
            return Err(Status::NotOwner.error());
        }
        if self.use_now.is_occupied() {
            return Err(Status::State.because("the lock is in use by an operation of this thread"));
        }
        self.kept_by.store(0, Ordering::Relaxed);
        self.lock.release_as(me)
    }
}

impl<T> Hold<'_, T> {
    /// Ends the operation with the lock still held, for further ones of this thread.
    pub fn keep(mut self) {
        // Relaxed: only the holder reads its own id here.
        let me = self.guarded.lock.holder().map_or(0, |me| me.get());
        self.guarded.kept_by.store(me, Ordering::Relaxed);
        self.keep = true;
    }

    /// Ends the operation and gives the lock back, also one that was kept.
    pub fn give_up(mut self) {
        self.guarded.kept_by.store(0, Ordering::Relaxed);
        self.keep = false;
    }

    /// Whether the lock stays held after the operation.
    pub fn is_kept(&self) -> bool {
        self.keep
    }
}

impl<T> Deref for Hold<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: see `Sync` above.
        unsafe { &*self.guarded.data.get() }
    }
}

impl<T> DerefMut for Hold<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: see `Sync` above.
        unsafe { &mut *self.guarded.data.get() }
    }
}

impl<T> Drop for Hold<'_, T> {
    fn drop(&mut self) {
        self.guarded.use_now.leave();
        if !self.keep
            && let Ok(me) = this_thread::id()
        {
            // It cannot fail: this thread holds the lock.
            let _ = self.guarded.lock.release_as(me);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Implemented once for every type, and once more for what is `Send` or `Sync`: of those a call with `_` does
    /// not say which is meant, and does not compile.
    trait NeitherSendNorSync<Which> {
        fn is_neither() {}
    }
    struct Sendable;
    struct Shareable;
    impl<T> NeitherSendNorSync<()> for T {}
    impl<T: Send> NeitherSendNorSync<Sendable> for T {}
    impl<T: Sync> NeitherSendNorSync<Shareable> for T {}

    #[test]
    fn a_hold_stays_on_the_thread_that_owns_the_lock() {
        Hold::<String>::is_neither();
    }
}
