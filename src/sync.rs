//! The only door to atomics, mutexes, parking and time.
//!
//! Everything that lets threads meet goes through here, for two reasons: a model checker can stand
//! in for all of it (`--cfg loom`), and `fork` has one gate to hold shut (see [`fork`]).

#[cfg(not(loom))]
mod real;
#[cfg(not(loom))]
pub use real::*;

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub use model::*;

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

/// Places where a loom model may break the code on purpose, to show that the model would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says which step is left out")]
pub enum Sabotage {
    ReleaseForgetsWaiters,
    TimeoutWithoutLook,
    GoneWakesNobody,
    TakeoverSkipsFate,
    EnterSkipsRecheck,
    LeaveWakesNobody,
}
