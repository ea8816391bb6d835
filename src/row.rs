//! Places that are never given back to the system, found by number without a lock.
//!
//! What stands in a row can be looked at through a number that went stale long ago: the memory is still
//! there, and what it says about itself decides. So readers need no reference count.

use crate::status::{Result, Status};
use crate::sync::{AtomicPtr, Mutex, Ordering};

/// Chunk `n` holds `FIRST_CHUNK << n` places, so a few chunks hold as many as there can be.
const CHUNKS: usize = 20;
const FIRST_CHUNK: usize = 4;

/// A growing row of places.
pub struct Row<T: 'static> {
    chunks: [AtomicPtr<T>; CHUNKS],
    ends: Mutex<Ends>,
}

impl<T: Default + Sync> Default for Row<T> {
    fn default() -> Row<T> {
        Row::new()
    }
}

struct Ends {
    free: Vec<u32>,
    used: u32,
}

impl<T: Default + Sync> Row<T> {
    /// Empty.
    pub const fn new() -> Row<T> {
        Row {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            ends: Mutex::new(Ends { free: Vec::new(), used: 0 }),
        }
    }

    fn place(index: u32) -> (usize, usize) {
        let chunk = (index as usize / FIRST_CHUNK + 1).ilog2() as usize;
        (chunk, index as usize - FIRST_CHUNK * ((1 << chunk) - 1))
    }

    /// The place of this number, if there ever was one.
    #[inline]
    pub fn get(&'static self, index: u32) -> Option<&'static T> {
        let (chunk, offset) = Self::place(index);
        // Acquire: pairs with the Release in `take`.
        let start = self.chunks.get(chunk)?.load(Ordering::Acquire);
        // SAFETY: the chunk holds `FIRST_CHUNK << chunk` places, `offset` is below that, and chunks
        // are never freed; from the Release on they are only shared.
        (!start.is_null()).then(|| unsafe { &*start.add(offset) })
    }

    /// All places that were ever taken.
    pub fn iter(&'static self) -> impl Iterator<Item = &'static T> {
        let used = self.ends.lock().used;
        (0..used).filter_map(|index| self.get(index))
    }

    /// Takes a place nobody has. It is as its last holder left it.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn take(&'static self) -> Result<(u32, &'static T)> {
        let no_memory = || Status::NoMemory.error();
        let index = {
            let mut ends = self.ends.lock();
            match ends.free.pop() {
                Some(index) => index,
                None => {
                    let index = ends.used;
                    let (chunk, offset) = Self::place(index);
                    if chunk >= CHUNKS {
                        return Err(no_memory());
                    }
                    if offset == 0 {
                        let mut fresh: Vec<T> = Vec::new();
                        let len = FIRST_CHUNK << chunk;
                        fresh.try_reserve_exact(len).map_err(|_| no_memory())?;
                        fresh.resize_with(len, T::default);
                        // Giving back never allocates: there is room for every place.
                        let more = index as usize + len - ends.free.len();
                        ends.free.try_reserve(more).map_err(|_| no_memory())?;
                        let start = Box::leak(fresh.into_boxed_slice()).as_mut_ptr();
                        // Release: the places are whole before anyone finds them.
                        self.chunks[chunk].store(start, Ordering::Release);
                    }
                    ends.used += 1;
                    index
                }
            }
        };
        self.get(index).map(|place| (index, place)).ok_or_else(no_memory)
    }

    /// Gives a taken place back.
    pub fn give_back(&self, index: u32) {
        self.ends.lock().free.push(index);
    }
}
