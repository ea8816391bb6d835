//! Stopping the threads: the runtime's gate, and where each thread stands to it.
//!
//! CPython's counterpart is `take_gil`/`drop_gil` with `_PyThreadState_MustExit`. There a thread
//! that comes late reads a flag and then its own thread state, which the finalizer may have freed
//! between the two (bpo-20526). Here entering is one exchange that the freezer cannot miss.
//!
//! # State and position
//!
//! ```text
//!   State:     Running → PreFinalizing → Finalizing → Finalized → (initialised again) Running
//!   Position:  Outside ⇄ Inside        by the thread itself: enter, leave
//!              Outside, Inside → Parked by the thread itself, once, for good
//!              any → Gone               by the thread's detach or its exit hook
//! ```
//!
//! The step to `Finalizing` is made by the one finalizing thread. It and a thread that enters
//! exchange, all SeqCst:
//!
//! ```text
//!   enter:    position = Inside             freeze:   state = Finalizing
//!             state < Finalizing?                     every position ≠ Inside?
//! ```
//!
//! In the one order of these four either the thread sees `Finalizing` and steps back out, or the
//! freezer sees it inside and waits for it. Likewise a thread that leaves stores its position and
//! then reads the state, while the freezer stores the state and then reads positions and sleeps on
//! a count of moves: a move is never slept through.

use crate::sync::{
    AtomicU32, AtomicU64, Deadline, Mutation, Ordering, Parked, mutated, park, wake_all,
};
use crate::thread::record::OwnerId;

/// How far a runtime's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum State {
    /// Everything is allowed.
    Running = 0,
    /// Finalization has begun; threads still run, attach and register.
    PreFinalizing = 1,
    /// The point of no return is passed: nobody but the finalizing thread gets in.
    Finalizing = 2,
    /// Done.
    Finalized = 3,
}

impl State {
    fn from(number: u32) -> State {
        match number {
            0 => State::Running,
            1 => State::PreFinalizing,
            2 => State::Finalizing,
            _ => State::Finalized,
        }
    }
}

/// Where a thread stands to a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Position {
    /// Attached, running native code only.
    Outside = 0,
    /// Running inside: it may touch the runtime.
    Inside = 1,
    /// Parked for good.
    Parked = 2,
    /// Detached, or its thread ended.
    Gone = 3,
}

/// A thread's position, on a cache line of its own: entering writes here and nowhere else.
#[repr(align(64))]
pub struct Place(AtomicU32);

impl Place {
    /// Outside.
    pub fn new() -> Place {
        Place(AtomicU32::new(Position::Outside as u32))
    }

    /// The position now.
    pub fn position(&self) -> Position {
        // SeqCst: the freezer's half of the exchange in the module's head.
        match self.0.load(Ordering::SeqCst) {
            0 => Position::Outside,
            1 => Position::Inside,
            2 => Position::Parked,
            _ => Position::Gone,
        }
    }
}

impl Default for Place {
    fn default() -> Place {
        Place::new()
    }
}

/// The runtime's gate.
pub struct Gate {
    state: AtomicU32,
    /// The id of the finalizing thread, 0 while there is none: the one that may still enter.
    finalizer: AtomicU64,
    /// Counts the moves made while somebody watches positions.
    moves: AtomicU32,
}

impl Gate {
    /// A gate in state `Running`.
    pub fn new() -> Gate {
        Gate {
            state: AtomicU32::new(State::Running as u32),
            finalizer: AtomicU64::new(0),
            moves: AtomicU32::new(0),
        }
    }

    /// The state now.
    #[inline]
    pub fn state(&self) -> State {
        // Acquire: who sees `Finalized` sees what finalization wrote.
        State::from(self.state.load(Ordering::Acquire))
    }

    /// Whether `me` is the thread that finalizes.
    #[inline]
    pub fn is_finalizer(&self, me: OwnerId) -> bool {
        // Relaxed: a thread that is the finalizer wrote it itself.
        self.finalizer.load(Ordering::Relaxed) == me.get()
    }

    /// The finalizing thread.
    pub fn finalizer(&self) -> Option<OwnerId> {
        OwnerId::new(self.finalizer.load(Ordering::Relaxed))
    }

    /// `me` begins to finalize. False if the runtime is not `Running`.
    pub fn begin(&self, me: OwnerId) -> bool {
        let begun = self
            .state
            .compare_exchange(
                State::Running as u32,
                State::PreFinalizing as u32,
                Ordering::SeqCst,
                Ordering::Relaxed,
            )
            .is_ok();
        if begun {
            self.finalizer.store(me.get(), Ordering::Relaxed);
            self.announce();
        }
        begun
    }

    /// The finalizing thread moves the state on.
    pub fn advance(&self, state: State) {
        if state == State::Finalized || state == State::Running {
            self.finalizer.store(0, Ordering::Relaxed);
        }
        // SeqCst: the freezer's half of the exchange in the module's head.
        self.state.store(state as u32, Ordering::SeqCst);
        self.announce();
    }

    /// Whether a thread other than the finalizer must stop.
    #[inline]
    pub fn is_shut(&self) -> bool {
        // Relaxed: a checkpoint that reads late passes the next one.
        self.state.load(Ordering::Relaxed) >= State::Finalizing as u32
    }

    /// `me` goes inside. False if it must stop instead; it is outside then.
    #[inline]
    pub fn enter(&self, place: &Place, me: OwnerId) -> bool {
        // SeqCst, both: the thread's half of the exchange in the module's head.
        place.0.swap(Position::Inside as u32, Ordering::SeqCst);
        let shut = !mutated(Mutation::EnterSkipsRecheck)
            && self.state.load(Ordering::SeqCst) >= State::Finalizing as u32;
        if shut && !self.is_finalizer(me) {
            self.depart(place, Position::Outside);
            return false;
        }
        true
    }

    /// The thread of `place` goes outside, parks, or is gone.
    #[inline]
    pub fn depart(&self, place: &Place, to: Position) {
        // SeqCst, both: the position is stored before the state is asked. Release within: what the
        // thread did inside is whole before anyone sees it outside.
        place.0.swap(to as u32, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) != State::Running as u32
            && !mutated(Mutation::LeaveWakesNobody)
        {
            self.announce();
        }
    }

    /// Wakes whoever watches: something moved.
    #[cold]
    pub fn announce(&self) {
        self.moves.fetch_add(1, Ordering::SeqCst);
        wake_all(self.key());
    }

    /// Waits until `done` or `deadline`; `done` is asked again after every move.
    ///
    /// Returns whether it is done. `done` is called with nothing locked.
    pub fn wait_until(&self, deadline: Deadline, mut done: impl FnMut() -> bool) -> bool {
        loop {
            // SeqCst: read before `done` looks, compared before sleeping.
            let moves = self.moves.load(Ordering::SeqCst);
            if done() {
                return true;
            }
            let still =
                || mutated(Mutation::WatchSkipsMoves) || self.moves.load(Ordering::SeqCst) == moves;
            if park(self.key(), still, deadline) == Parked::TimedOut {
                return done();
            }
        }
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}
