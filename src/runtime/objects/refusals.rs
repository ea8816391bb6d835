//! The calls into the library that one dealloc callback made.

use std::cell::RefCell;

/// Notes of refused calls; on the stack of whoever calls a dealloc callback.
#[derive(Default)]
pub struct Refusals(RefCell<Vec<(&'static str, u64)>>);

impl Refusals {
    /// `call` was refused.
    pub fn note(&self, call: &'static str) {
        // A signal handler over a note being taken goes uncounted; it is refused all the same.
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
