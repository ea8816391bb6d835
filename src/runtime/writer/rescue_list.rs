//! By this list the hard exit of a process finds a writer without a lock, and saves its bytes.
//!
//! ```text
//!   free ──tie──▶ live ──cut──▶ free
//!                  │
//!                  └──the last word──▶ taken ──▶ settled      for good
//! ```
//!
//! Lifelines stand in a row whose places are never freed. Each step from `live` is one
//! compare-and-swap, so either the writer is cut off before its memory or its descriptor goes, or
//! the last word has it: then the thread that would cut it sleeps until the process ends.
//!
//! Nothing below [`rescue_all`] takes a lock, allocates, or looks at a thread-local of Rust's.

use super::Writer;
use super::buffer::Core;
use crate::io::{Refused, Sink};
use crate::lock::in_use;
use crate::runtime::lifecycle::State;
use crate::status::Result;
use crate::sync::slab::Slab;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Deadline, Ordering, fence, sleep};
use std::time::Duration;

const FREE: u32 = 0;
const LIVE: u32 = 1;
const TAKEN: u32 = 2;
const SETTLED: u32 = 3;

#[derive(Default)]
struct Place {
    state: AtomicU32,
    writer: AtomicPtr<Writer>,
}

static PLACES: Slab<Place> = Slab::new();

/// The reason shown when the thread that ended the process was killed.
pub(crate) const HARD_EXIT_KILLED: &str = "the thread that wrote the last word was killed";

/// The last word has begun.
static ENDING: AtomicBool = AtomicBool::new(false);

/// How long the last word sleeps between two looks at what stuck operations and full destinations do.
const TURN: Duration = Duration::from_millis(1);

/// How long a write of one may keep the others waiting, where it does not return at once.
const ONE: Duration = Duration::from_millis(100);

/// The most the last word writes without a look at the clock.
const PIECE: usize = 1 << 20;

/// A writer's place in the row.
pub(super) struct RescueEntry {
    index: u32,
    place: &'static Place,
}

impl RescueEntry {
    pub(super) fn new() -> Result<RescueEntry> {
        fence::prepare();
        let (index, place) = PLACES.take()?;
        Ok(RescueEntry { index, place })
    }

    /// The last word can find `writer` from here on.
    pub(super) fn tie(&self, writer: &Writer) {
        self.place.writer.store(std::ptr::from_ref(writer).cast_mut(), Ordering::Relaxed);
        // Release: the writer is whole before it is found.
        self.place.state.store(LIVE, Ordering::Release);
        // With its partner in `take_all`: that sees this place, or this sees that it has begun.
        fence::full();
        if ENDING.load(Ordering::Relaxed) {
            crate::sync::sleep_indefinitely(HARD_EXIT_KILLED);
        }
    }

    /// The writer's destination, or its memory, is about to go.
    pub(super) fn cut(&self) {
        // Release: what this thread did with the writer comes before its place is another's.
        let cut =
            self.place.state.compare_exchange(LIVE, FREE, Ordering::Release, Ordering::Relaxed);
        if cut.is_err_and(|state| state != FREE) {
            crate::sync::sleep_indefinitely(HARD_EXIT_KILLED);
        }
    }
}

impl Drop for RescueEntry {
    fn drop(&mut self) {
        PLACES.give_back(self.index);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.rescue_entry.cut();
    }
}

/// What became of the bytes that all writers held.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Toll {
    /// Written by the last word.
    pub written: u64,
    /// Not written, with those in flight.
    pub lost: u64,
    /// How many writers have lost some.
    pub losers: u32,
    /// In a raw write that has not returned.
    pub in_flight: u64,
}

/// Writes what the writers of the process hold, as far as their destinations have room until
/// `deadline` and no operation is under way in them. It is the end of them all.
///
/// To be called once; again only if the thread that was at it has been killed.
pub(crate) fn rescue_all(deadline: Deadline) -> Toll {
    take_all();
    let mut toll = Toll::default();
    loop {
        let mut unsettled = 0;
        for (place, writer) in taken() {
            if writer.rescue(&mut toll.written, deadline) {
                // Relaxed: nobody else stores here any more.
                place.state.store(SETTLED, Ordering::Relaxed);
            } else {
                unsettled += 1;
            }
        }
        if unsettled == 0 || deadline.passed() {
            break;
        }
        sleep(TURN);
    }
    for (_, writer) in all(&[TAKEN, SETTLED]) {
        writer.count_lost(&mut toll);
    }
    toll
}

/// Ends all operations of all writers.
fn take_all() {
    ENDING.store(true, Ordering::Relaxed);
    fence::full();
    for place in places() {
        // Acquire: pairs with the Release in `tie`.
        let took = place.state.compare_exchange(LIVE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        if took.is_err() {
            continue;
        }
        // SAFETY: it was live, and whoever would free it finds it taken.
        let writer = unsafe { &*place.writer.load(Ordering::Relaxed) };
        writer.core.end_operations();
        if writer.accepted.seal() {
            // Its finalization, or its host, was done with it: what is left in it stays so.
            place.state.store(SETTLED, Ordering::Relaxed);
        }
    }
    in_use::ends_are_known();
}

/// In the child of a `fork`: looks at every writer there is. A last word that another thread had begun
/// was the parent's.
pub(super) fn forked(mut look: impl FnMut(&Writer)) {
    // Relaxed, all: the process has one thread.
    ENDING.store(false, Ordering::Relaxed);
    for place in places() {
        if place.state.load(Ordering::Relaxed) != FREE {
            place.state.store(LIVE, Ordering::Relaxed);
            // SAFETY: it is tied and not cut, and no other thread is there to cut it.
            look(unsafe { &*place.writer.load(Ordering::Relaxed) });
        }
    }
}

fn places() -> impl Iterator<Item = &'static Place> {
    (0..).map_while(|index| PLACES.get(index))
}

fn all(states: &[u32]) -> impl Iterator<Item = (&'static Place, &'static Writer)> {
    places().filter(|place| states.contains(&place.state.load(Ordering::Relaxed))).map(|place| {
        // SAFETY: taken, see `take_all`; for good.
        (place, unsafe { &*place.writer.load(Ordering::Relaxed) })
    })
}

fn taken() -> impl Iterator<Item = (&'static Place, &'static Writer)> {
    all(&[TAKEN])
}

impl Writer {
    /// Bytes accepted and not known to be written, and how many of them are in flight.
    fn left(&self) -> (u64, u64) {
        // In this order: see `settle`. What is read late was only settled meanwhile.
        let in_flight = self.flow.in_flight() + self.flow.cut_off();
        let written = self.flow.written();
        let left = self.accepted.count().saturating_sub(written);
        (left, in_flight.min(left))
    }

    /// Writes what is in the buffer as far as there is room, and time. Returns whether there is nothing
    /// more to be done for it.
    fn rescue(&self, written: &mut u64, deadline: Deadline) -> bool {
        if self.left().0 == 0 {
            return true;
        }
        let Sink::Descriptor(descriptor) = &self.sink else {
            // No host code runs any more.
            return true;
        };
        let Some(core) = self.core.take_for_good() else { return false };
        if self.flow.in_flight() > 0 {
            // Its owner went away in the middle of a write: nobody knows what of it arrived.
            return true;
        }
        // SAFETY: operations are over and none is under way: it is this thread's alone.
        let core = unsafe { &mut *core };
        while core.len() > 0 {
            match descriptor.write_at_last(next(core), deadline.min(Deadline::after(ONE))) {
                Ok(taken) => {
                    core.start += taken;
                    self.flow.count_written(taken as u64);
                    *written += taken as u64;
                    if deadline.passed() {
                        return core.len() == 0;
                    }
                }
                Err(Refused::WouldBlock) => return false,
                #[cfg(windows)]
                Err(Refused::UnderWay) => {
                    self.flow.lose_sight_of(next(core).len().min(crate::io::worker::MOST) as u64);
                    return true;
                }
                Err(_) => return true,
            }
        }
        true
    }

    fn count_lost(&self, toll: &mut Toll) {
        // The report of an ended runtime has told of its writers.
        let told = self.gate.state() == State::Finalized;
        let (left, in_flight) = self.left();
        if !told && left > 0 {
            toll.lost += left;
            toll.losers += 1;
            toll.in_flight += in_flight;
        }
    }
}

/// What is offered next.
fn next(core: &Core) -> &[u8] {
    let rest = &core.buffer[core.start..];
    &rest[..rest.len().min(PIECE)]
}
