//! The only door to atomics, mutexes, parking and time.
//!
//! Everything that lets threads meet goes through here, for two reasons: a model checker can stand
//! in for all of it (`--cfg loom`), and `fork` has one gate to hold shut (see [`fork`]).

#[cfg(not(loom))]
pub mod activity;
#[cfg(not(loom))]
pub mod fence;
#[cfg(not(loom))]
pub mod fork;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(loom)))]
pub mod futex;
#[cfg(not(loom))]
pub mod parking;
#[cfg(not(loom))]
pub use parking::*;
#[cfg(not(loom))]
mod real;
#[cfg(not(loom))]
pub use real::*;
#[cfg(not(loom))]
pub mod helper;
#[cfg(not(loom))]
pub mod seqlock;
#[cfg(not(loom))]
pub mod slab;

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub use model::*;

/// The time since `start`.
pub fn elapsed(start: std::time::Instant) -> std::time::Duration {
    now().saturating_duration_since(start)
}

/// Steps a loom model may leave out on purpose, to show that it would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what is then wrong")]
#[cfg_attr(not(loom), allow(dead_code, reason = "one is for models only"))]
pub enum Mutation {
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
