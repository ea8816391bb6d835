//! A stack of callbacks, drained last in first out: the at-exit callbacks and the exit functions.
//!
//! CPython has two: the `atexit` module's list, whose drain was confused by unregistering during it,
//! and `Py_AtExit`'s array of 32. Here one callback may register and unregister others, itself
//! included, while the drain runs, and there is no limit.

use crate::status::{Result, Status};
use crate::thread::host_call::{Function, HostCall};
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

    /// Makes room for one more.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn reserve(&mut self) -> Result<()> {
        self.entries.try_reserve(1).map_err(|_| Status::NoMemory.error())
    }

    /// Registers one, whose id is above all others', and for which there is room.
    pub fn push(&mut self, entry: Entry) {
        debug_assert!(self.entries.last().is_none_or(|(id, _)| *id < entry.id));
        self.entries.push((entry.id, Some(entry)));
        self.live += 1;
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

    /// Takes the oldest that is younger than `after` and calls this function (with this argument, if one is given).
    pub fn remove_function(
        &mut self,
        after: u64,
        function: Function,
        arg: Option<*mut c_void>,
    ) -> Option<Entry> {
        let first = self.entries.partition_point(|(id, _)| *id <= after);
        let matches = |entry: &Option<Entry>| {
            entry.as_ref().is_some_and(|entry| entry.call.is(function, arg))
        };
        let mut rest = self.entries[first..].iter_mut();
        let removed = rest.find(|(_, entry)| matches(entry))?.1.take();
        self.live -= 1;
        self.close_holes();
        removed
    }

    fn close_holes(&mut self) {
        if self.entries.len() > 2 * self.live + 64 {
            self.entries.retain(|(_, entry)| entry.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C-unwind" fn even(_: *mut c_void) -> libc::c_int {
        0
    }
    unsafe extern "C-unwind" fn odd(_: *mut c_void) -> libc::c_int {
        1
    }

    fn entry(id: u64) -> Entry {
        let function = if id.is_multiple_of(2) { even as Function } else { odd as Function };
        // SAFETY: neither function looks at its argument.
        let call =
            unsafe { HostCall::from_c(function, std::ptr::without_provenance_mut(id as usize)) };
        Entry { id, name: "".into(), call }
    }

    fn remove_all(stack: &mut Stack, function: Function, arg: Option<*mut c_void>) -> usize {
        let (mut last, mut count) = (0, 0);
        while let Some(entry) = stack.remove_function(last, function, arg) {
            assert!(entry.id > last);
            (last, count) = (entry.id, count + 1);
        }
        count
    }

    /// Any mix of operations leaves what a plain list would hold.
    #[test]
    fn behaves_as_a_plain_list_under_any_mix_of_operations() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let (mut stack, mut plain, mut next) = (Stack::new(), Vec::new(), 1);
        for _ in 0..20_000 {
            match random(10) {
                0..=4 => {
                    stack.reserve().unwrap();
                    stack.push(entry(next));
                    plain.push(next);
                    next += 1;
                }
                5..=6 => assert_eq!(stack.pop().map(|entry| entry.id), plain.pop()),
                7..=8 => {
                    let id = random(next + 1);
                    let at = plain.iter().position(|&known| known == id);
                    assert_eq!(
                        stack.remove(id).map(|entry| entry.id),
                        at.map(|at| plain.remove(at))
                    );
                }
                _ if random(200) == 0 => {
                    let removed = remove_all(&mut stack, even, None);
                    let before = plain.len();
                    plain.retain(|id| id % 2 == 1);
                    assert_eq!(removed, before - plain.len());
                }
                _ => {
                    let arg = plain.last().copied().unwrap_or(0);
                    let arg = std::ptr::without_provenance_mut(arg as usize);
                    let removed = remove_all(&mut stack, odd, Some(arg));
                    assert_eq!(removed, usize::from(plain.last().is_some_and(|id| id % 2 == 1)));
                    plain.truncate(plain.len() - removed);
                }
            }
            assert_eq!((stack.len(), stack.is_empty()), (plain.len(), plain.is_empty()));
        }
    }
}
