//! Places that are never given back to the system, found by number without a lock.
//!
//! What stands in a row can be looked at through a number that went stale long ago: the memory is still
//! there, and what it says about itself decides. So readers need no reference count.
//!
//! Nothing here takes a lock or memory from the heap, so a signal handler may take a place over any code
//! of its thread, and no `fork` finds a row half changed.
//!
//! # Free places
//!
//! ```text
//!   free:  tag (40) | index + 1 (24)      the first free place, 0 for none
//! ```
//!
//! Free places form a stack, each with the number of the one below it. The tag counts the changes of the
//! top. A thread that was interrupted between reading the top and replacing it therefore finds another
//! tag, even if the same place is on top again.

use crate::status::{Result, Status};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sys::memory;

/// Chunk `n` holds `FIRST_CHUNK << n` places, so a few chunks hold as many as there can be.
const CHUNKS: usize = 20;
const FIRST_CHUNK: usize = 16;

const INDEX_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// A growing row of places.
pub struct Slab<T: 'static> {
    chunks: [AtomicPtr<Place<T>>; CHUNKS],
    /// How many places were ever taken.
    used: AtomicU32,
    free: AtomicU64,
}

struct Place<T> {
    /// While it is free: the place below it, plus one.
    below: AtomicU32,
    value: T,
}

impl<T: Default + Sync> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T: Default + Sync> Slab<T> {
    /// Empty.
    pub const fn new() -> Slab<T> {
        Slab {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            used: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    fn position(index: u32) -> (usize, usize) {
        let chunk = (index as usize / FIRST_CHUNK + 1).ilog2() as usize;
        (chunk, index as usize - FIRST_CHUNK * ((1 << chunk) - 1))
    }

    #[inline]
    fn place(&'static self, index: u32) -> Option<&'static Place<T>> {
        let (chunk, offset) = Self::position(index);
        // Acquire: pairs with the Release in `make_chunk`.
        let start = self.chunks.get(chunk)?.load(Ordering::Acquire);
        // SAFETY: the chunk holds `FIRST_CHUNK << chunk` places, `offset` is below that, and chunks
        // are never freed; from the Release on they are only shared.
        (!start.is_null()).then(|| unsafe { &*start.add(offset) })
    }

    /// The place of this number, if there ever was one.
    #[inline]
    pub fn get(&'static self, index: u32) -> Option<&'static T> {
        self.place(index).map(|place| &place.value)
    }

    /// All places that were ever taken.
    pub fn iter(&'static self) -> impl Iterator<Item = &'static T> {
        // SeqCst, as in `take_new`: a reader that stored something before it looks, and misses a place, is
        // seen by whoever takes that place and then looks for what was stored.
        let used = self.used.load(Ordering::SeqCst);
        (0..used).filter_map(|index| self.get(index))
    }

    /// Takes a place nobody has. It is as its last holder left it.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn take(&'static self) -> Result<(u32, &'static T)> {
        let index = match self.take_free() {
            Some(index) => index,
            None => self.take_new()?,
        };
        let place = self.get(index).ok_or_else(|| Status::NoMemory.error())?;
        Ok((index, place))
    }

    fn take_free(&'static self) -> Option<u32> {
        // Acquire, here and below: pairs with the Release in `give_back`, so the place is as its last
        // holder left it.
        let mut top = self.free.load(Ordering::Acquire);
        loop {
            let index = u32::try_from((top & INDEX_MASK).checked_sub(1)?).ok()?;
            let below = self.place(index)?.below.load(Ordering::Relaxed);
            let next = next_tag(top) | u64::from(below);
            match self.free.compare_exchange(top, next, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(changed) => top = changed,
            }
        }
    }

    fn take_new(&'static self) -> Result<u32> {
        let no_memory = || Status::NoMemory.error();
        let mut index = self.used.load(Ordering::Relaxed);
        loop {
            let (chunk, _) = Self::position(index);
            if u64::from(index) + 1 > INDEX_MASK || chunk >= CHUNKS {
                return Err(no_memory());
            }
            if self.place(index).is_none() && !self.make_chunk(chunk) {
                return Err(no_memory());
            }
            // SeqCst: see `iter`.
            let took =
                self.used.compare_exchange(index, index + 1, Ordering::SeqCst, Ordering::Relaxed);
            match took {
                Ok(_) => return Ok(index),
                Err(changed) => index = changed,
            }
        }
    }

    /// Sees to it that there is this chunk. Of several threads that make it at once one succeeds.
    #[cold]
    fn make_chunk(&self, chunk: usize) -> bool {
        let len = FIRST_CHUNK << chunk;
        let Some(start) = memory::pages(len.saturating_mul(size_of::<Place<T>>())) else {
            return false;
        };
        let start = start.cast::<Place<T>>();
        for offset in 0..len {
            // SAFETY: the pages are new, aligned for anything, and hold `len` places.
            unsafe {
                let fresh = Place { below: AtomicU32::new(0), value: T::default() };
                start.add(offset).write(fresh);
            }
        }
        // Release: the places are whole before anyone finds them.
        let made = self.chunks[chunk].compare_exchange(
            std::ptr::null_mut(),
            start,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if made.is_err() {
            // SAFETY: nobody came to know these pages.
            unsafe { memory::give_back_pages(start.cast(), len * size_of::<Place<T>>()) };
        }
        true
    }

    /// Gives a taken place back.
    pub fn give_back(&'static self, index: u32) {
        let Some(place) = self.place(index) else { return };
        let mut top = self.free.load(Ordering::Relaxed);
        loop {
            place.below.store((top & INDEX_MASK) as u32, Ordering::Relaxed);
            let next = next_tag(top) | (u64::from(index) + 1);
            // Release: pairs with the Acquires in `take_free`.
            match self.free.compare_exchange(top, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => top = changed,
            }
        }
    }
}

/// The next tag, in its place.
fn next_tag(top: u64) -> u64 {
    (top & !INDEX_MASK).wrapping_add(1 << INDEX_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Taken(AtomicU32);

    #[test]
    fn threads_that_take_and_give_back_at_once_never_share_a_place() {
        static ROW: Slab<Taken> = Slab::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..5_000 {
                        let held: Vec<_> = (0..round % 7).map(|_| ROW.take().unwrap()).collect();
                        for (_, place) in &held {
                            assert_eq!(place.0.swap(1, Ordering::Relaxed), 0, "somebody has it");
                        }
                        for (index, place) in held {
                            place.0.store(0, Ordering::Relaxed);
                            ROW.give_back(index);
                        }
                    }
                });
            }
        });
        let places = ROW.iter().count();
        assert!(places <= 4 * 6, "{places} places for at most 24 at once");
    }

    #[test]
    fn places_keep_their_numbers_across_chunks() {
        static ROW: Slab<Taken> = Slab::new();
        let taken: Vec<_> = (0..1000).map(|_| ROW.take().unwrap()).collect();
        for (n, (index, place)) in taken.iter().enumerate() {
            assert_eq!(*index as usize, n);
            assert!(std::ptr::eq(ROW.get(*index).unwrap(), *place));
        }
        assert!(ROW.get(1 << 23).is_none());
    }
}
