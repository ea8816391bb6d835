//! Queues to sleep in, one for each key, as in WebKit's parking lot.
//!
//! A lock's word has no room for a queue, so a thread that must wait for it parks here, in the queue of
//! the word's address. On Linux the queues are this library's own, because parking_lot_core's cannot do
//! two things that are needed here. It keeps one record for each thread, so a signal handler that waits
//! over a wait corrupts that record. And a thread whose time runs out locks its queue inside
//! parking_lot_core, where `fork` cannot be kept out, so a child may find the queue locked for good.

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod native;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use native::*;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod portable;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub use portable::*;

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
