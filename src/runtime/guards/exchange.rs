//! Guards: while one is open, the life of the runtime it pins does not go on to the freeze.
//!
//! PEP 788's counterpart is `PyInterpreterGuard`, a count under a lock. Here a thread notes its guards
//! in slots of its own, and the finalizing thread looks through everybody's slots: opening and closing
//! are plain stores.
//!
//! # The exchange
//!
//! ```text
//!   open:   slot = (life, open)            decide:  anchor = deciding
//!           light fence                             heavy fence
//!           anchor still of this life?              any slot open with this life?
//!
//!   close:  slot = free                    wait:    anchor = watched
//!           light fence                             heavy fence
//!           anchor watched? then tell               any slot open? then sleep until told
//! ```
//!
//! Of each pair at least one sees what the other stored (see `sync::fence`). So a guard is refused, or
//! the finalizer sees it and does not go on; and no close is slept through.
//!
//! # The anchor
//!
//! ```text
//!   open ──finalization begins──▶ watched ⇄ deciding ──the step to freeze──▶ shut
//! ```
//!
//! While the finalizer decides, whoever wants to open a guard waits for the decision. Watched, a guard is
//! granted only to a thread that the finalization waits for anyway (see `rack`): other threads that keep
//! opening guards could delay it indefinitely. A life has a number that is never used again, and the
//! anchor's word holds it: a view of a former life finds another number, or none.

use crate::sync::{AtomicU64, Deadline, Mutation, Ordering, fence, mutated, park, wake_all};

/// The number of one life of one runtime. Never zero, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(u64);

impl Life {
    /// The life of this number.
    pub const fn from_number(number: u64) -> Life {
        Life(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What an anchor says to who asks for a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Guards are granted.
    Open,
    /// Guards are granted to those who are waited for anyway, and the finalizing thread wants to hear of
    /// each that closes.
    Watched,
    /// The finalizing thread looks whether it may go on: wait for what comes of it.
    Deciding,
    /// The life is past its freeze.
    Shut,
}

const MODES: u64 = 3;
const OPEN: u64 = 0;
const WATCHED: u64 = 1;
const DECIDING: u64 = 2;

/// Where the guards of one life hold on. On a line of its own, written three or four times in a life.
#[repr(align(64))]
pub struct Anchor {
    /// `life << 2 | mode`; 0 when shut.
    word: AtomicU64,
}

impl Anchor {
    /// Shut.
    pub fn new() -> Anchor {
        Anchor { word: AtomicU64::new(0) }
    }

    /// A life begins.
    pub fn begin(&self, life: Life) {
        self.word.store(life.0 << 2 | OPEN, Ordering::Release);
    }

    /// What holds for `life` now.
    #[inline]
    pub fn hold(&self, life: Life) -> Hold {
        // Acquire: who is let in, or refused, sees what came before that was decided.
        let word = self.word.load(Ordering::Acquire);
        if word >> 2 != life.0 {
            return Hold::Shut;
        }
        match word & MODES {
            OPEN => Hold::Open,
            WATCHED => Hold::Watched,
            _ => Hold::Deciding,
        }
    }

    /// From here on every close is told. Also takes back [`decide`](Anchor::decide).
    pub fn watch(&self, life: Life) {
        self.set(life.0 << 2 | WATCHED);
        self.heavy();
    }

    /// From here on nobody opens a guard, until `watch` or `shut`; and every guard that was granted is
    /// seen in its slot.
    pub fn decide(&self, life: Life) {
        self.set(life.0 << 2 | DECIDING);
        self.heavy();
    }

    /// No guard is granted any more.
    pub fn shut(&self) {
        self.set(0);
    }

    /// In the child of a `fork` that the finalizing thread made, so while it did not decide: takes those
    /// that waited for its decisions, and were not copied, out of their queue.
    #[cfg(not(loom))]
    pub(crate) fn forked(&self, life: Life) {
        if self.hold(life) == Hold::Deciding {
            self.watch(life);
        }
        wake_all(self.key());
    }

    fn set(&self, word: u64) {
        self.word.store(word, Ordering::Release);
        wake_all(self.key());
    }

    fn heavy(&self) {
        if !mutated(Mutation::GuardSkipsHeavyFence) {
            fence::heavy();
        }
    }

    /// Waits while the finalizer decides about `life`.
    #[cold]
    pub fn await_decision(&self, life: Life) {
        // The mode is changed before the sleepers are woken, and asked under their queue's lock.
        let undecided =
            || self.hold(life) == Hold::Deciding && !mutated(Mutation::GuardWaitsForNoDecision);
        park(self.key(), undecided, Deadline::NEVER);
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Default for Anchor {
    fn default() -> Anchor {
        Anchor::new()
    }
}

/// Bytes of a guard's name that are kept.
pub const NAME_SIZE: usize = 32;

/// What a guard says of itself: whether it is stale is decided by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The life it pins.
    pub life: Life,
    /// The number of that life's anchor.
    pub anchor: u32,
    /// Whether any thread may close it, so that the finalizing one waits even for its own.
    pub shared: bool,
    /// When it was opened, in the milliseconds of `sync::coarse_ms`.
    pub since_ms: u64,
    /// Its name, filled up with zeroes.
    pub name: [u8; NAME_SIZE],
}

/// Numbers of the first generation: no small number is a guard's handle by accident.
const FIRST_GENERATION: u64 = 0x0002_9d3b;

/// How many generations a slot has. A handle has room for these, and a slot that has used them up takes no
/// guard any more: so no handle ever names two guards. (On 32-bit machines a handle has room for so few
/// that they come round again.)
pub const GENERATIONS: u64 = if usize::BITS == 64 { 1 << 37 } else { u64::MAX >> 2 };

/// The last state in which a slot is free.
const LAST_FREE: u64 = (FIRST_GENERATION + GENERATIONS - 1) << 1;

const IS_OPEN: u64 = 1;
/// In the word of the anchor's number.
const IS_SHARED: u64 = 1 << 32;
const WORDS: usize = NAME_SIZE / 8;

/// A place for one guard, on a cache line of its own. The thread it belongs to opens here, with plain
/// stores; another one that closes makes one exchange.
#[repr(align(64))]
pub struct Slot {
    /// `generation << 1 | open`.
    state: AtomicU64,
    life: AtomicU64,
    anchor: AtomicU64,
    since_ms: AtomicU64,
    name: [AtomicU64; WORDS],
}

impl Slot {
    /// Free.
    pub fn new() -> Slot {
        Slot {
            state: AtomicU64::new(FIRST_GENERATION << 1),
            life: AtomicU64::new(0),
            anchor: AtomicU64::new(0),
            since_ms: AtomicU64::new(0),
            name: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Whether a guard may be opened here.
    #[inline]
    pub fn is_free(&self) -> bool {
        // Acquire: pairs with the close on another thread.
        let state = self.state.load(Ordering::Acquire);
        state & IS_OPEN == 0 && state < LAST_FREE
    }

    /// Whether a guard is open here.
    pub fn is_taken(&self) -> bool {
        // Acquire: as in `is_free`.
        self.state.load(Ordering::Acquire) & IS_OPEN != 0
    }

    /// Notes a guard in this free slot, which is the calling thread's, and returns its generation. It
    /// counts only if [`Anchor::hold`] grants it then.
    #[inline]
    pub fn open(&self, note: &Note) -> u64 {
        let state = self.state.load(Ordering::Relaxed);
        // Relaxed: a reader believes them only if the state is the same before and after. A reader of
        // the slot's former guard that sees one of these sees the free state before it, too.
        fence::release();
        self.life.store(note.life.0, Ordering::Relaxed);
        let shared = if note.shared { IS_SHARED } else { 0 };
        self.anchor.store(u64::from(note.anchor) | shared, Ordering::Relaxed);
        self.since_ms.store(note.since_ms, Ordering::Relaxed);
        for (word, bytes) in self.name.iter().zip(note.name.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        // Release: who sees it open sees the note.
        self.state.store(state | IS_OPEN, Ordering::Release);
        light();
        state >> 1
    }

    /// Closes the guard of this generation, on the thread the slot belongs to. False if it is not open.
    #[inline]
    pub fn close_own(&self, generation: u64) -> bool {
        let open = generation << 1 | IS_OPEN;
        if self.state.load(Ordering::Relaxed) != open {
            return false;
        }
        // Release: what was done under the guard is whole before the finalizer goes on. Another
        // thread may close the same guard now; it stores the same.
        self.state.store(open + 1, Ordering::Release);
        light();
        true
    }

    /// Closes the guard of this generation, on any thread. False if it is not open.
    pub fn close_foreign(&self, generation: u64) -> bool {
        let open = generation << 1 | IS_OPEN;
        // SeqCst: as `close_own`, and ordered with the mark of a thread that ends (see `rack`).
        let closed =
            self.state.compare_exchange(open, open + 1, Ordering::SeqCst, Ordering::Relaxed);
        light();
        closed.is_ok()
    }

    /// The generation of the open guard and what it says; `None` if there is none.
    pub fn look(&self) -> Option<(u64, Note)> {
        // Acquire: pairs with the Release in `open`, and with the one in the closes.
        let state = self.state.load(Ordering::Acquire);
        if state & IS_OPEN == 0 {
            return None;
        }
        let mut name = [0; NAME_SIZE];
        for (word, bytes) in self.name.iter().zip(name.as_chunks_mut().0) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        let anchor = self.anchor.load(Ordering::Relaxed);
        let note = Note {
            life: Life(self.life.load(Ordering::Relaxed)),
            anchor: anchor as u32,
            shared: anchor & IS_SHARED != 0,
            since_ms: self.since_ms.load(Ordering::Relaxed),
            name,
        };
        self.is_at(state).then_some((state >> 1, note))
    }

    fn is_at(&self, state: u64) -> bool {
        // The note was read before the state is asked again.
        fence::acquire();
        // Acquire: who finds it closed only now sees all the same what was done under the guard.
        self.state.load(Ordering::Acquire) == state
    }

    /// Whether the guard of this generation is still open.
    pub fn is_open(&self, generation: u64) -> bool {
        // Acquire: the finalizer's half of the close.
        self.state.load(Ordering::Acquire) == generation << 1 | IS_OPEN
    }

    /// The generation of the guard that is open here, if its lowest bits are these.
    #[inline]
    pub fn open_generation(&self, lowest: u64, mask: u64) -> Option<u64> {
        // Acquire: pairs with the Release in `open`.
        let state = self.state.load(Ordering::Acquire);
        (state & IS_OPEN != 0 && (state >> 1) & mask == lowest).then_some(state >> 1)
    }

    /// What the open guard of this generation pins, and the number of its anchor.
    #[inline]
    pub fn pinned(&self, generation: u64) -> Option<(Life, u32)> {
        let life = Life(self.life.load(Ordering::Relaxed));
        let anchor = self.anchor.load(Ordering::Relaxed) as u32;
        self.is_at(generation << 1 | IS_OPEN).then_some((life, anchor))
    }
}

impl Default for Slot {
    fn default() -> Slot {
        Slot::new()
    }
}

#[inline]
fn light() {
    if !mutated(Mutation::GuardSkipsLightFence) {
        fence::light();
    }
}
