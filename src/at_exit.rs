//! A stack of callbacks, drained last in first out: the at-exit callbacks and the exit functions.
//!
//! CPython has two: the `atexit` module's list, whose drain was confused by unregistering during it,
//! and `Py_AtExit`'s array of 32. Here one callback may register and unregister others, itself
//! included, while the drain runs, and there is no limit.

use crate::host_call::{Function, HostCall};
use libc::c_void;

/// One registered callback.
pub struct Entry {
    /// Its identity, in the order of registration.
    pub id: u64,
    /// The name reports use; may be empty.
    pub name: Box<str>,
    /// What it does.
    pub call: HostCall,
}

/// Registered callbacks, oldest first.
///
/// Ids ascend, so one is found by binary search; a removed one leaves a hole. Holes never
/// outnumber what is left by more than a constant, so every operation is cheap over a drain.
#[derive(Default)]
pub struct Stack {
    entries: Vec<(u64, Option<Entry>)>,
    live: usize,
}

impl Stack {
    /// An empty stack.
    pub const fn new() -> Stack {
        Stack { entries: Vec::new(), live: 0 }
    }

    /// How many are registered.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Registers one, whose id is above all others'. False if memory ran out.
    #[must_use]
    pub fn push(&mut self, entry: Entry) -> bool {
        debug_assert!(self.entries.last().is_none_or(|(id, _)| *id < entry.id));
        if self.entries.try_reserve(1).is_err() {
            return false;
        }
        self.entries.push((entry.id, Some(entry)));
        self.live += 1;
        true
    }

    /// Takes the youngest.
    pub fn pop(&mut self) -> Option<Entry> {
        while let Some((_, entry)) = self.entries.pop() {
            if entry.is_some() {
                self.live -= 1;
                return entry;
            }
        }
        None
    }

    /// Takes the one of this id.
    pub fn remove(&mut self, id: u64) -> Option<Entry> {
        let at = self.entries.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let entry = self.entries[at].1.take()?;
        self.live -= 1;
        self.close_holes();
        Some(entry)
    }

    /// Takes all that call this function (with this argument, if one is given).
    pub fn remove_function(&mut self, function: Function, arg: Option<*mut c_void>) -> Vec<Entry> {
        let matches = |entry: &mut Option<Entry>| {
            entry.as_ref().is_some_and(|entry| entry.call.is(function, arg))
        };
        let removed: Vec<Entry> = self
            .entries
            .iter_mut()
            .filter_map(|(_, entry)| if matches(entry) { entry.take() } else { None })
            .collect();
        self.live -= removed.len();
        self.close_holes();
        removed
    }

    fn close_holes(&mut self) {
        if self.entries.len() > 2 * self.live + 64 {
            self.entries.retain(|(_, entry)| entry.is_some());
        }
    }
}
