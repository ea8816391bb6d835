//! Memory for a finalization when the heap has none.
//!
//! A finalization makes small objects all along, and the language ends the process where one cannot be had. A check
//! before it begins is not enough: a callback, or another thread, can use the memory up meanwhile. So behind the heap
//! there is some room that nobody else draws on: an allocation that the heap refuses to a thread that makes a
//! finalization's own steps, and not a callback's, comes from there. The room is part of the image; a page of it
//! becomes memory when it is first used.
//!
//! # Form
//!
//! Blocks stand one behind the other, each behind its header. A block that is given back is marked, and the marked ones
//! at the end go: what is allocated for a moment costs nothing for longer. A thread has the room for the length of a
//! few instructions; one that finds it taken for long does without (the thread that has it may have been lost to a
//! fork), which costs the room of a block or is the refusal that the heap has given already.

#![cfg_attr(not(feature = "reserve"), allow(dead_code, reason = "it is nobody's allocator then"))]

use crate::sys::cell;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

/// The heap, and the reserve behind it.
pub struct WithReserve;

#[cfg(feature = "reserve")]
#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

const SIZE: usize = 512 * 1024;

/// What can be left out, as a note for the report can, is served from the first half only.
pub(crate) const HALF: usize = SIZE / 2;

static RESERVE: Reserve<SIZE> = Reserve::new();

/// How often a thread looks whether the room is free.
const LOOKS: u32 = 10_000;

/// Headers stand at multiples of it, and so do blocks at least.
const UNIT: usize = size_of::<Header>();

#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    /// Where the space of the block begins, before the header: its alignment may be large.
    start: u32,
    /// Where the header of the block before it is.
    before: u32,
    given_back: bool,
    _to_16_bytes: u32,
}

struct Ends {
    /// Behind the last block.
    used: usize,
    /// Where the last block's header is; with `used` at 0 there is none.
    last: usize,
}

#[repr(C, align(4096))]
struct Room<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

struct Reserve<const SIZE: usize> {
    room: Room<SIZE>,
    ends: UnsafeCell<Ends>,
    is_taken: AtomicBool,
}

// SAFETY: `ends` and the headers are used by the thread that has set `is_taken`; a block is its owner's.
unsafe impl<const SIZE: usize> Sync for Reserve<SIZE> {}

impl<const SIZE: usize> Reserve<SIZE> {
    const fn new() -> Reserve<SIZE> {
        Reserve {
            room: Room(UnsafeCell::new([0; SIZE])),
            ends: UnsafeCell::new(Ends { used: 0, last: 0 }),
            is_taken: AtomicBool::new(false),
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Ends) -> R) -> Option<R> {
        // Acquire: pairs with the Release of whoever had it before.
        let mut looks = (0..LOOKS).map(|_| self.is_taken.swap(true, Ordering::Acquire));
        if looks.all(|is_taken| is_taken) {
            return None;
        }
        // SAFETY: no other thread is here, and `change` allocates nothing.
        let result = change(unsafe { &mut *self.ends.get() });
        self.is_taken.store(false, Ordering::Release);
        Some(result)
    }

    fn base(&self) -> *mut u8 {
        self.room.0.get().cast()
    }

    /// # Safety
    /// `at` is where a header is, or shall be; the calling thread has the room.
    unsafe fn header(&self, at: usize) -> *mut Header {
        // SAFETY: by this function's own contract it lies inside the room.
        unsafe { self.base().add(at).cast() }
    }

    /// A block that ends before `limit`; null if there is no room for it.
    fn allocate(&self, layout: Layout, limit: usize) -> *mut u8 {
        let found = self.with(|ends| {
            let align = layout.align().max(UNIT);
            if align > align_of::<Room<SIZE>>() {
                return null_mut();
            }
            let at = ends.used.checked_add(UNIT).and_then(|at| at.checked_next_multiple_of(align));
            let end =
                at.and_then(|at| at.checked_add(layout.size())?.checked_next_multiple_of(UNIT));
            let (Some(at), Some(end)) = (at, end.filter(|end| *end <= limit)) else {
                return null_mut();
            };
            // They fit: the room is smaller than 4 GiB.
            let (start, before) = (ends.used as u32, ends.last as u32);
            // SAFETY: the header lies between the used part and the block.
            unsafe {
                let header = self.header(at - UNIT);
                header.write(Header { start, before, given_back: false, _to_16_bytes: 0 });
            }
            *ends = Ends { used: end, last: at - UNIT };
            // SAFETY: inside the room.
            unsafe { self.base().add(at) }
        });
        found.unwrap_or(null_mut())
    }

    /// Where `block` is in the room; `None` if it is the heap's.
    fn place_of(&self, block: *mut u8) -> Option<usize> {
        block.addr().checked_sub(self.base().addr()).filter(|at| *at < SIZE)
    }

    /// # Safety
    /// A block was allocated at this place, and is used no more.
    unsafe fn give_back(&self, place: usize) {
        self.with(|ends| {
            // SAFETY: in front of every block is its header, and this thread has the room.
            unsafe { (*self.header(place - UNIT)).given_back = true };
            while ends.used > 0 {
                // SAFETY: as above.
                let last = unsafe { *self.header(ends.last) };
                if !last.given_back {
                    break;
                }
                *ends = Ends { used: last.start as usize, last: last.before as usize };
            }
        });
    }
}

/// Runs `work`, a finalization, with the reserve behind the heap.
pub(crate) fn with_reserve<R>(work: impl FnOnce() -> R) -> R {
    served(ALL, work)
}

/// Runs `work`, which is the host's, without the reserve: what it calls in the library gets an error where there is
/// no memory, and the finalization goes on.
pub(crate) fn without_reserve<R>(work: impl FnOnce() -> R) -> R {
    served(NOTHING, work)
}

/// Runs `work`, whose allocations may fail: they leave half of the reserve to those that must not.
pub(super) fn leaving_half<R>(work: impl FnOnce() -> R) -> R {
    served(cell::reserve().get().min(FIRST_HALF), work)
}

/// What the reserve has for the calling thread.
const NOTHING: u32 = 0;
const FIRST_HALF: u32 = 1;
const ALL: u32 = 2;

fn served<R>(share: u32, work: impl FnOnce() -> R) -> R {
    struct Back(u32);
    impl Drop for Back {
        fn drop(&mut self) {
            cell::reserve().set(self.0);
        }
    }
    let _back = Back(cell::reserve().replace(share));
    work()
}

/// What the reserve has for a thread to which the heap gave nothing.
#[cold]
fn instead(layout: Layout) -> *mut u8 {
    match cell::reserve().get() {
        NOTHING => null_mut(),
        FIRST_HALF => RESERVE.allocate(layout, HALF),
        _ => RESERVE.allocate(layout, SIZE),
    }
}

// SAFETY: each block comes from the system's allocator or from the reserve, with the layout asked for, and goes back to
// where it came from.
unsafe impl GlobalAlloc for WithReserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { instead(layout) } else { block }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        let block = unsafe { System.alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block).or_else(|| NonNull::new(instead(layout))) else {
            return null_mut();
        };
        if RESERVE.place_of(block.as_ptr()).is_some() {
            // SAFETY: the block has that size.
            unsafe { block.as_ptr().write_bytes(0, layout.size()) };
        }
        block.as_ptr()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match RESERVE.place_of(block) {
            // SAFETY: by the caller's contract.
            None => unsafe { System.dealloc(block, layout) },
            // SAFETY: as above.
            Some(place) => unsafe { RESERVE.give_back(place) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if RESERVE.place_of(block).is_none() {
            // SAFETY: by the caller's contract.
            let moved = unsafe { System.realloc(block, layout, size) };
            if !moved.is_null() || cell::reserve().get() == NOTHING {
                return moved;
            }
        }
        // SAFETY: by the caller's contract the new size makes a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: by the caller's contract it is not zero; both blocks have room for what is copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    fn used(reserve: &Reserve<8192>) -> usize {
        reserve.with(|ends| ends.used).unwrap()
    }

    fn give_back(reserve: &Reserve<8192>, block: *mut u8) {
        // SAFETY: the tests give each block back once.
        unsafe { reserve.give_back(reserve.place_of(block).unwrap()) };
    }

    #[test]
    fn blocks_are_aligned_and_apart_and_the_room_is_free_again_in_whichever_order_they_go() {
        let reserve = Box::new(Reserve::<8192>::new());
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let layouts = [layout(1, 1), layout(100, 8), layout(24, 256), layout(4000, 16)];
            let blocks = layouts.map(|layout| reserve.allocate(layout, 8192));
            for (block, layout) in blocks.iter().zip(layouts) {
                assert_eq!(block.addr() % layout.align(), 0);
                // SAFETY: the block has that size.
                unsafe { block.write_bytes(0xff, layout.size()) };
            }
            assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]));
            for which in order {
                give_back(&reserve, blocks[which]);
            }
            assert_eq!(used(&reserve), 0);
        }
    }

    #[test]
    fn a_block_for_a_moment_costs_nothing_for_longer() {
        let reserve = Box::new(Reserve::<8192>::new());
        let kept = reserve.allocate(layout(64, 8), 8192);
        let before = used(&reserve);
        for _ in 0..1000 {
            let block = reserve.allocate(layout(4096, 8), 8192);
            assert!(!block.is_null());
            give_back(&reserve, block);
        }
        assert_eq!(used(&reserve), before);
        give_back(&reserve, kept);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let reserve = Box::new(Reserve::<8192>::new());
        for (size, align) in [(8192, 1), (usize::MAX / 4, 8), (1, 8192)] {
            assert!(reserve.allocate(layout(size, align), 8192).is_null());
        }
        let all = reserve.allocate(layout(8192 - UNIT, 16), 8192);
        assert!(!all.is_null());
        assert!(reserve.allocate(layout(1, 1), 8192).is_null());
        give_back(&reserve, all);
        assert_eq!(used(&reserve), 0);
    }

    #[test]
    fn only_what_is_not_the_hosts_is_served() {
        assert!(instead(layout(8, 8)).is_null());
        with_reserve(|| {
            let block = instead(layout(8, 8));
            assert!(!block.is_null());
            without_reserve(|| {
                assert!(instead(layout(8, 8)).is_null());
                leaving_half(|| assert!(instead(layout(8, 8)).is_null()));
            });
            leaving_half(|| assert!(instead(layout(HALF, 8)).is_null()));
            // SAFETY: it was allocated with this layout.
            unsafe { WithReserve.dealloc(block, layout(8, 8)) };
        });
        assert!(instead(layout(8, 8)).is_null());
    }
}
