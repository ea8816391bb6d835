//! Handles: what C holds instead of a pointer to an object.
//!
//! A handle is a number dressed as an opaque pointer; nobody ever follows it. It names a slot and the
//! generation of that slot's use, so stale handles, second frees and made-up numbers are all rejected, for
//! certain, and without touching freed memory. Slots are never given back to the system, which is what
//! makes that check safe; and one whose generations are used up is left unused.
//!
//! ```text
//!   handle:  generation (30) | slot (32) | 1          (on 32-bit: 15 | 16 | 1)
//!   slot:    generation (30) | closed (1) | open (1) | pins (32)
//!
//!   free ──insert──▶ open ──close──▶ closed ──last unpin──▶ free, generation + 1
//! ```
//!
//! Every call pins its slot for its length. Whoever takes the pins of a closed slot to zero takes the
//! object out and frees the slot. That step is one compare-and-swap from exactly (generation,
//! closed, 0 pins), so it is made once, although stale handles may pin and unpin a slot in any
//! state, any number of times.

use crate::status::{Result, Status};
use crate::sync::slab::Slab;
use crate::sync::{Arc, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::ops::Deref;

const OPEN: u64 = 1 << 32;
const CLOSED: u64 = 1 << 33;
const PINS: u64 = OPEN - 1;
const GENERATION_SHIFT: u32 = 34;

const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 16 };
const GENERATION_MASK: u64 = (1 << (if usize::BITS == 64 { 30 } else { 15 })) - 1;

struct Slot<T> {
    /// Its generations are counted from 0 here; in a handle, from the table's seed.
    state: AtomicU64,
    value: UnsafeCell<Option<Arc<T>>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot { state: AtomicU64::new(0), value: UnsafeCell::new(None) }
    }
}

// SAFETY: the value is written only by the one thread that has taken or frees the slot, and read only
// under a pin, which those exclude.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

/// The live objects of one type.
pub struct Table<T: 'static> {
    slots: Slab<Slot<T>>,
    /// The generation slots begin with.
    seed: u32,
}

/// A pinned object: alive until this is dropped, even if it is closed meanwhile.
pub struct Pinned<T: Send + Sync + 'static> {
    table: &'static Table<T>,
    slot: &'static Slot<T>,
    index: u32,
}

impl<T: Send + Sync + 'static> Table<T> {
    /// No objects. `seed` is a number of the table's own, for its first generation: so that no small
    /// number is a handle by accident, nor another table's handle one of this.
    pub const fn new(seed: u32) -> Table<T> {
        Table { slots: Slab::new(), seed }
    }

    /// What a handle has of this state's generation.
    fn generation(&self, state: u64) -> u64 {
        ((state >> GENERATION_SHIFT) + u64::from(self.seed)) & GENERATION_MASK
    }

    /// Gives `object` a handle.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn insert(&'static self, object: Arc<T>) -> Result<usize> {
        let (index, slot) = self.slots.take()?;
        if u64::from(index) >> SLOT_BITS != 0 {
            self.slots.give_back(index);
            return Err(Status::NoMemory.because("no room for another handle"));
        }
        // SAFETY: the slot is free and was just taken by this thread; no pin on it succeeds while it is
        // not open.
        unsafe { *slot.value.get() = Some(object) };
        // Release: who pins the open slot sees the object. Stray pins of stale handles stay counted.
        let state = slot.state.fetch_or(OPEN, Ordering::Release);
        let generation = self.generation(state);
        Ok((((generation << SLOT_BITS) | u64::from(index)) << 1 | 1) as usize)
    }

    /// Pins the object of `handle`.
    ///
    /// # Errors
    /// `Null`, `Handle`.
    pub fn pin(&'static self, handle: usize) -> Result<Pinned<T>> {
        if handle == 0 {
            return Err(Status::Null.error());
        }
        let bits = handle as u64 >> 1;
        let index = (bits & ((1 << SLOT_BITS) - 1)) as u32;
        let generation = bits >> SLOT_BITS;
        let stale = || Status::Handle.error();
        let slot = self.slots.get(index).filter(|_| handle & 1 == 1).ok_or_else(stale)?;
        // Acquire: pairs with the Release that opened the slot.
        let state = slot.state.fetch_add(1, Ordering::Acquire);
        let pinned = Pinned { table: self, slot, index };
        if state & OPEN == 0 || self.generation(state) != generation {
            drop(pinned);
            return Err(stale());
        }
        Ok(pinned)
    }
}

impl<T: Send + Sync> Pinned<T> {
    /// Closes the handle; the object goes with the last pin. False if it was closed already.
    pub fn close(pinned: &Self) -> bool {
        // Exactly one closer moves the slot from open to closed. AcqRel: what it did before is
        // whole when the object goes.
        let close = |state: u64| (state & OPEN != 0).then_some(state & !OPEN | CLOSED);
        pinned.slot.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, close).is_ok()
    }
}

impl<T: Send + Sync> Deref for Pinned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: under the pin of an open slot the value is there, and nobody writes it.
        let value = unsafe { &*self.slot.value.get() };
        value.as_ref().expect("a pinned slot holds an object")
    }
}

impl<T: Send + Sync> Drop for Pinned<T> {
    fn drop(&mut self) {
        // AcqRel: what was done under any pin is whole before the object goes.
        let state = self.slot.state.fetch_sub(1, Ordering::AcqRel) - 1;
        if state & (CLOSED | PINS) != CLOSED {
            return;
        }
        let next = ((state >> GENERATION_SHIFT) + 1) << GENERATION_SHIFT;
        if self
            .slot
            .state
            .compare_exchange(state, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            // SAFETY: this thread alone made that step, and the slot is filled again only after it
            // is on the free list.
            let object = unsafe { (*self.slot.value.get()).take() };
            // A slot whose generations are used up is not used again: no handle ever names two objects.
            if (next >> GENERATION_SHIFT) & GENERATION_MASK != 0 {
                self.table.slots.give_back(self.index);
            }
            // Dropped last, with nothing locked: its destructor may call the host.
            drop(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn status(result: Result<Pinned<u32>>) -> Status {
        result.err().map_or(Status::Ok, |error| error.status())
    }

    #[test]
    fn a_stale_handle_is_told_from_the_one_that_took_its_slot() {
        static TABLE: Table<u32> = Table::new(0x2545_f491);
        let first = TABLE.insert(Arc::new(1)).unwrap();
        assert!(Pinned::close(&TABLE.pin(first).unwrap()));
        let second = TABLE.insert(Arc::new(2)).unwrap();
        assert_ne!(first, second);
        assert_eq!(*TABLE.pin(second).unwrap(), 2);
        assert_eq!(status(TABLE.pin(first)), Status::Handle);
    }

    #[test]
    fn numbers_that_are_no_handles_are_refused() {
        static TABLE: Table<u32> = Table::new(0x2545_f491);
        let handle = TABLE.insert(Arc::new(1)).unwrap();
        for made_up in [1, 2, 3, handle + 1, handle + 2, 0xdead_beef, usize::MAX, usize::MAX - 1] {
            assert_eq!(status(TABLE.pin(made_up)), Status::Handle, "{made_up:#x}");
        }
        assert_eq!(status(TABLE.pin(0)), Status::Null);
    }

    #[test]
    fn an_object_outlives_its_handle_while_it_is_pinned() {
        static TABLE: Table<u32> = Table::new(0x2545_f491);
        let object = Arc::new(7);
        let handle = TABLE.insert(object.clone()).unwrap();
        let pinned = TABLE.pin(handle).unwrap();
        assert!(Pinned::close(&pinned));
        assert!(!Pinned::close(&pinned), "of two closers one succeeds");
        assert_eq!(status(TABLE.pin(handle)), Status::Handle);
        assert_eq!((*pinned, Arc::strong_count(&object)), (7, 2));
        drop(pinned);
        assert_eq!(Arc::strong_count(&object), 1);
    }

    #[test]
    fn many_handles_live_at_once() {
        static TABLE: Table<u32> = Table::new(0x2545_f491);
        let handles: Vec<_> = (0..10_000).map(|n| TABLE.insert(Arc::new(n)).unwrap()).collect();
        for (n, handle) in handles.iter().enumerate() {
            assert_eq!(*TABLE.pin(*handle).unwrap() as usize, n);
        }
    }

    /// Threads that pin, close and make handles at once, on a few slots: each object is closed by one
    /// and dropped once.
    #[test]
    fn racing_closers_and_stale_pins_free_each_object_once() {
        static TABLE: Table<Arc<()>> = Table::new(0x2545_f491);
        const ROUNDS: usize = 2_000;
        let start = Barrier::new(4);
        let shared = AtomicU64::new(0);
        let closed = AtomicU64::new(0);
        let alive = Arc::new(());
        std::thread::scope(|scope| {
            for maker in [true, false, false, false] {
                let (start, shared, closed, alive) = (&start, &shared, &closed, &alive);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        start.wait();
                        if maker {
                            let handle = TABLE.insert(Arc::new(alive.clone())).unwrap();
                            shared.store(handle as u64, Ordering::Release);
                        }
                        start.wait();
                        if let Ok(pinned) = TABLE.pin(shared.load(Ordering::Acquire) as usize)
                            && Pinned::close(&pinned)
                        {
                            closed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(closed.load(Ordering::Relaxed), ROUNDS as u64);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
