//! Views: references to one life of a runtime that keep nothing alive and never go bad.
//!
//! PEP 788's counterpart is `PyInterpreterView`. A view holds a life's number and the place of its
//! anchor. Anchors are never freed, and serve other lives later; the number tells. So whether a life is
//! still there is one load, and needs no reference count.

use crate::runtime::guards::exchange::{Anchor, Life};
use crate::status::{Error, Result, Status};
use crate::sync::slab::Slab;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, fence};
use crate::thread::record::OwnerId;
use std::sync::Weak;

/// What a guard asks of the runtime that it pins.
pub trait Guarded: Send + Sync {
    /// The finalizing thread looks again at what it waits for.
    fn announce(&self);
    /// Whether this thread finalizes it.
    fn is_finalized_by(&self, me: OwnerId) -> bool;
    /// Whether a finalization that has begun waits for the calling thread, which is attached.
    fn waits_for_this_thread(&self) -> bool;
    /// Counts a late call and makes its error.
    fn late(&self) -> Error;
}

/// An anchor, and the life that it is of.
#[derive(Default)]
struct Anchored {
    anchor: Anchor,
    of: Mutex<Option<(Life, Weak<dyn Guarded>)>>,
}

static ANCHORS: Slab<Anchored> = Slab::new();

/// Life 0 never was.
static NEXT_LIFE: AtomicU64 = AtomicU64::new(1);

/// Where to pin one life of a runtime.
#[derive(Clone, Copy)]
pub struct Pin {
    life: Life,
    index: u32,
    place: &'static Anchored,
}

impl Pin {
    /// A new life begins.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn begin() -> Result<Pin> {
        fence::prepare();
        let (index, place) = ANCHORS.take()?;
        let life = Life::from_number(NEXT_LIFE.fetch_add(1, Ordering::Relaxed));
        place.anchor.begin(life);
        Ok(Pin { life, index, place })
    }

    /// The life is one of this runtime's.
    pub(crate) fn is_of(&self, runtime: Weak<dyn Guarded>) {
        *self.place.of.lock() = Some((self.life, runtime));
    }

    /// The runtime, while it lives. Takes a lock, which a signal handler over a section must not.
    pub(crate) fn runtime(&self) -> Option<Arc<dyn Guarded>> {
        let of = self.place.of.lock();
        of.as_ref().filter(|(life, _)| *life == self.life)?.1.upgrade()
    }

    /// The life is over, and nobody asks for it by name any more: another may use its anchor.
    pub(crate) fn end(self) {
        self.place.anchor.shut();
        *self.place.of.lock() = None;
        ANCHORS.give_back(self.index);
    }

    #[inline]
    pub(crate) fn of(life: Life, index: u32) -> Option<Pin> {
        ANCHORS.get(index).map(|place| Pin { life, index, place })
    }

    /// The life's number.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The number of its anchor.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Its anchor, as long as it lives.
    #[inline]
    pub fn anchor(&self) -> &'static Anchor {
        &self.place.anchor
    }
}

/// Has every finalizing thread look again at what it waits for.
pub(crate) fn announce_all() {
    for place in ANCHORS.iter() {
        let runtime = place.of.lock().as_ref().and_then(|(_, runtime)| runtime.upgrade());
        if let Some(runtime) = runtime {
            runtime.announce();
        }
    }
}

/// What a view's handle names.
struct Place {
    /// `generation << 1 | open`.
    state: AtomicU64,
    life: AtomicU64,
    anchor: AtomicU64,
}

/// So that no small number is a view by accident.
const FIRST_GENERATION: u64 = 0x0001_6c35;

impl Default for Place {
    fn default() -> Place {
        Place {
            state: AtomicU64::new(FIRST_GENERATION << 1),
            life: AtomicU64::new(0),
            anchor: AtomicU64::new(0),
        }
    }
}

static VIEWS: Slab<Place> = Slab::new();

/// A view's handle: `generation | index | 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View(usize);

const INDEX_BITS: u32 = if usize::BITS == 64 { 24 } else { 12 };
const GENERATION_MASK: u64 = (1 << (usize::BITS - 1 - INDEX_BITS)) - 1;

impl View {
    /// A view of this life.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn of(pin: Pin) -> Result<View> {
        let (index, place) = VIEWS.take()?;
        if index >> INDEX_BITS != 0 {
            VIEWS.give_back(index);
            return Err(Status::NoMemory.because("no room for another view"));
        }
        let state = place.state.load(Ordering::Relaxed);
        // The state that readers of the former view ask for is gone before its fields are.
        fence::release();
        place.life.store(pin.life.number(), Ordering::Relaxed);
        place.anchor.store(pin.index.into(), Ordering::Relaxed);
        // Release: who sees it open sees its fields.
        place.state.store(state | 1, Ordering::Release);
        let generation = (state >> 1) & GENERATION_MASK;
        Ok(View((((generation << INDEX_BITS) | u64::from(index)) << 1 | 1) as usize))
    }

    /// The view of this handle, which may be none.
    #[inline]
    pub fn from_handle(handle: usize) -> View {
        View(handle)
    }

    /// Its handle; never zero.
    pub fn handle(self) -> usize {
        self.0
    }

    fn index(self) -> u32 {
        ((self.0 as u64 >> 1) & ((1 << INDEX_BITS) - 1)) as u32
    }

    #[inline]
    fn find(self) -> Option<(&'static Place, u64)> {
        let place = VIEWS.get(self.index()).filter(|_| self.0 & 1 == 1)?;
        // Acquire: pairs with the Release in `of`.
        let state = place.state.load(Ordering::Acquire);
        let generation = (state >> 1) & GENERATION_MASK;
        (state & 1 == 1 && generation == self.0 as u64 >> (1 + INDEX_BITS))
            .then_some((place, state))
    }

    /// What it sees. Takes no lock and counts nothing.
    ///
    /// # Errors
    /// `Handle`.
    #[inline]
    pub fn pin(self) -> Result<Pin> {
        let stale = || Status::Handle.error();
        let (place, state) = self.find().ok_or_else(stale)?;
        let life = Life::from_number(place.life.load(Ordering::Relaxed));
        let anchor = place.anchor.load(Ordering::Relaxed) as u32;
        // The fields were read before the state is asked again.
        fence::acquire();
        if place.state.load(Ordering::Relaxed) != state {
            return Err(stale());
        }
        Pin::of(life, anchor).ok_or_else(stale)
    }

    /// Closes it. Guards acquired from it stay open.
    ///
    /// # Errors
    /// `Handle`.
    pub fn close(self) -> Result<()> {
        let stale = || Status::Handle.error();
        let (place, state) = self.find().ok_or_else(stale)?;
        // AcqRel: of two that close one succeeds, and it alone gives the place back.
        let closed =
            place.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed);
        closed.map_err(|_| stale())?;
        // A place whose generations are used up is not used again: no handle ever names two views.
        if (state >> 1) + 1 < FIRST_GENERATION + GENERATION_MASK {
            VIEWS.give_back(self.index());
        }
        Ok(())
    }
}
