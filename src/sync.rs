//! The only door to atomics, mutexes, parking and time.
//!
//! Everything that lets threads meet goes through here, for two reasons: a model checker can stand
//! in for all of it (`--cfg loom`), and `fork` has one gate to hold shut (see [`fork`]).

#[cfg(not(loom))]
pub mod fence;
#[cfg(not(loom))]
mod real;
#[cfg(not(loom))]
pub use real::*;
#[cfg(not(loom))]
pub mod sentinel;

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub use model::*;

/// The time since `start`.
pub fn elapsed(start: std::time::Instant) -> std::time::Duration {
    now().saturating_duration_since(start)
}

/// How a call to [`park`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Somebody woke this thread.
    Woken,
    /// The check made under the queue's lock said there is nothing to wait for.
    NotNeeded,
    /// The deadline passed first.
    TimedOut,
}

/// Steps a loom model may leave out on purpose, to show that it would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what is then wrong")]
pub enum Sabotage {
    ReleaseForgetsWaiters,
    ReleaseForgetsTheRest,
    TakerDropsWaiters,
    TakeoverWithoutCompare,
    TakeoverSkipsFate,
    TimeoutWithoutLook,
    SleepSkipsFate,
    SleepSkipsEpoch,
    SleepSkipsGrace,
    GoneWakesNobody,
    NoteHidesOuterNote,
    EnterSkipsRecheck,
    LeaveWakesNobody,
    WatchSkipsMoves,
    SeqCstIsAcqRel,
    GuardSkipsLightFence,
    GuardSkipsHeavyFence,
    GuardWaitsForNoDecision,
    OperationSkipsLightFence,
    LastWordSkipsHeavyFence,
}
