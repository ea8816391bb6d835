//! The calls into the library that one dealloc callback made.

use crate::sys::cell::cell;
use std::cell::RefCell;

/// Notes of refused calls; on the stack of whoever calls a dealloc callback.
#[derive(Default)]
pub struct Refusals(RefCell<Vec<(&'static str, u64)>>);

impl Refusals {
    /// `call` was refused.
    pub fn note(&self, call: &'static str) {
        // A call from a signal handler that interrupts this function is refused, but not counted.
        let Ok(mut calls) = self.0.try_borrow_mut() else { return };
        match calls.iter_mut().find(|(known, _)| *known == call) {
            Some((_, times)) => *times += 1,
            None => {
                crate::sys::memory::try_push(&mut calls, 0, || (call, 1));
            }
        }
    }

    /// Which calls, and how often each.
    pub fn into_calls(self) -> Vec<(&'static str, u64)> {
        self.0.into_inner()
    }
}

/// Runs `call` with this thread marked as inside a dealloc callback: calls it makes are refused, and
/// noted in `refusals`.
pub fn while_deallocating<R>(refusals: &Refusals, call: impl FnOnce() -> R) -> R {
    struct Back(*const ());
    impl Drop for Back {
        fn drop(&mut self) {
            cell().refusals.set(self.0);
        }
    }
    let _back = Back(cell().refusals.replace(std::ptr::from_ref(refusals).cast()));
    call()
}

/// Where to note a call, if this thread is inside a dealloc callback.
#[inline]
pub fn refused_calls() -> Option<&'static Refusals> {
    // SAFETY: set while the frame of `while_deallocating` on this thread borrows it; nothing keeps the
    // reference beyond a call made inside that frame.
    unsafe { cell().refusals.get().cast::<Refusals>().as_ref() }
}
