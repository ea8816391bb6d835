//! A buffered lock with what it protects.
//!
//! One rule beyond the lock's: what it protects is used by one operation at a time. A holder may
//! keep the lock over several operations ([`Hold::keep`]), but an operation inside another, from
//! a callback or a signal handler, is refused.

use crate::buffered_lock::{Acquired, BufferedLock};
use crate::event::Former;
use crate::registry::Remembering;
use crate::status::{Result, Status};
use crate::sync::{AtomicBool, AtomicU64, Deadline, Ordering};
use crate::this_thread;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

/// Data behind a [`BufferedLock`].
pub struct Guarded<T> {
    lock: BufferedLock,
    /// The holder is in an operation. Written by the holder only.
    in_use: AtomicBool,
    /// The id of the holder that keeps the lock between operations, else 0. By id, so that what an
    /// owner that is gone left here says nothing of the one that took over.
    kept_by: AtomicU64,
    data: UnsafeCell<T>,
}

// SAFETY: the data is only reached through a `Hold`, of which one exists at a time: the lock admits
// one thread, and `in_use` one operation of that thread.
unsafe impl<T: Send> Sync for Guarded<T> {}

/// Exclusive use of the data, for one operation.
pub struct Hold<'a, T> {
    guarded: &'a Guarded<T>,
    /// Whom the lock was taken over from, if that one will never run again.
    pub recovered: Option<Former>,
    /// Whether dropping the hold leaves the lock held.
    keep: bool,
}

impl<T> Guarded<T> {
    /// Protects `data`; the lock follows the runtime of this id.
    pub fn new(runtime: u32, data: T) -> Guarded<T> {
        Guarded {
            lock: BufferedLock::following(runtime),
            in_use: AtomicBool::new(false),
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
    /// As [`BufferedLock::acquire_as`]; `Reentrant` from inside another operation.
    pub fn acquire(&self, deadline: Deadline) -> Result<Hold<'_, T>> {
        let me = this_thread::id()?;
        let (recovered, keep) = if self.lock.take_free(me) {
            (None, false)
        } else if self.lock.is_held_by(me) {
            if self.in_use.load(Ordering::Relaxed)
                || self.kept_by.load(Ordering::Relaxed) != me.get()
            {
                return Err(Status::Reentrant.error());
            }
            (None, true)
        } else {
            let world = Remembering::default();
            let taken = self.lock.acquire_as(&*this_thread::owner()?, &world, deadline)?;
            ((taken == Acquired::Recovered).then(|| world.former.take()), false)
        };
        self.in_use.store(true, Ordering::Relaxed);
        Ok(Hold { guarded: self, recovered, keep })
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
        if self.in_use.load(Ordering::Relaxed) {
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
        self.guarded.in_use.store(false, Ordering::Relaxed);
        if !self.keep
            && let Ok(me) = this_thread::id()
        {
            // It cannot fail: this thread holds the lock.
            let _ = self.guarded.lock.release_as(me);
        }
    }
}
