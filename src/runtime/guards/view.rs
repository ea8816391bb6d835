//! Views: references to one life of a runtime that keep nothing alive and never go bad.
//!
//! PEP 788's counterpart is `PyInterpreterView`. A view holds a life's number and the place of its
//! anchor. Anchors are never freed, and serve other lives later; the number tells. So whether a life is
//! still there is one load, and needs no reference count.

use crate::runtime::guards::exchange::{Anchor, Life};
use crate::status::{Result, Status};
use crate::sync::slab::Row;
use crate::sync::{AtomicU64, Ordering, fence};

static ANCHORS: Row<Anchor> = Row::new();

/// Life 0 never was.
static NEXT_LIFE: AtomicU64 = AtomicU64::new(1);

/// Where to pin one life of a runtime.
#[derive(Clone, Copy)]
pub struct Pin {
    life: Life,
    index: u32,
    anchor: &'static Anchor,
}

impl Pin {
    /// A new life begins.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn begin() -> Result<Pin> {
        fence::prepare();
        let (index, anchor) = ANCHORS.take()?;
        let life = Life::from_number(NEXT_LIFE.fetch_add(1, Ordering::Relaxed));
        anchor.begin(life);
        Ok(Pin { life, index, anchor })
    }

    /// The life is over, and nobody asks for it by name any more: another may use its anchor.
    pub(crate) fn end(self) {
        self.anchor.shut();
        ANCHORS.give_back(self.index);
    }

    #[inline]
    pub(crate) fn of(life: Life, index: u32) -> Option<Pin> {
        ANCHORS.get(index).map(|anchor| Pin { life, index, anchor })
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
        self.anchor
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

static VIEWS: Row<Place> = Row::new();

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
