//! The queues where there is no futex: parking_lot_core's.

use super::Parked;
use crate::sync::{Deadline, fork};
#[cfg(windows)]
use crate::sys::process_end;

/// Looks up, once, how the system makes a thread wait.
#[cfg(windows)]
pub fn prepare_parking() {
    static KEY: u8 = 0;
    park((&raw const KEY).addr(), || false, Deadline::NEVER);
}

/// What a sleep comes to that nobody is left to end.
#[cfg(windows)]
#[cold]
fn nobody_comes(deadline: Deadline) -> Parked {
    if deadline == Deadline::NEVER {
        process_end::end("a thread that had to be waited for was killed");
    }
    Parked::TimedOut
}

/// Waits in the queue of `key` until woken or `deadline`.
///
/// `needed` runs under the queue's own lock, so a waker that changes what `needed` reads and then wakes
/// `key` cannot be missed. It must not block, nor take any mutex.
pub fn park(key: usize, needed: impl FnOnce() -> bool, deadline: Deadline) -> Parked {
    #[cfg(windows)]
    if process_end::under_way() {
        return if needed() { nobody_comes(deadline) } else { Parked::NotNeeded };
    }
    let pass = fork::enter();
    let pass = std::cell::Cell::new(Some(pass));
    // SAFETY: keys are addresses of this library's own lock words and gates, so nobody else parks
    // on them; the callbacks neither panic nor call back into the parking lot.
    let result = unsafe {
        parking_lot_core::park(
            key,
            needed,
            // The queue's lock is free again: from here a fork may copy this process.
            || drop(pass.take()),
            |_, _| {},
            parking_lot_core::DEFAULT_PARK_TOKEN,
            deadline.instant(),
        )
    };
    match result {
        parking_lot_core::ParkResult::Unparked(_) => Parked::Woken,
        parking_lot_core::ParkResult::Invalid => Parked::NotNeeded,
        parking_lot_core::ParkResult::TimedOut => Parked::TimedOut,
    }
}

/// Wakes one thread parked on `key`. `before` runs under the queue's lock, before that thread can
/// run, and hears whether others stay behind.
pub fn wake_one(key: usize, before: impl FnOnce(bool)) {
    #[cfg(windows)]
    if process_end::under_way() {
        return before(false);
    }
    let _pass = fork::enter();
    // SAFETY: see `park`; `before` only stores to an atomic.
    unsafe {
        parking_lot_core::unpark_one(key, |result| {
            before(result.have_more_threads);
            parking_lot_core::DEFAULT_UNPARK_TOKEN
        });
    }
}

/// Wakes every thread parked on `key`.
pub fn wake_all(key: usize) {
    #[cfg(windows)]
    if process_end::under_way() {
        return;
    }
    let _pass = fork::enter();
    // SAFETY: see `park`.
    unsafe {
        parking_lot_core::unpark_all(key, parking_lot_core::DEFAULT_UNPARK_TOKEN);
    }
}

/// In the child of a `fork`. The records of threads that were not copied leave their queues as their
/// locks are woken.
pub fn forked() {}

/// The calling thread will not return to what it waits for.
pub fn leave_queues() {}
