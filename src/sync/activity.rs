//! What the library is doing on the calling thread.
//!
//! ```text
//!   HOST ──a call begins──▶ BUSY ──it waits──▶ RESTING
//!     ▲                     │  ▲                 │
//!     └──it returns─────────┘  └─────────────────┘
//! ```
//!
//! A callback of the host's runs as `HOST` again. So a call that finds `BUSY` as it begins was made by a
//! signal handler, over the library at work on this same thread: what it needs may be locked or half
//! changed by the code below it, and waiting for that would last for good. Such a call works without any of
//! it, or answers at once. Over `RESTING` everything is whole, and a handler may call what it likes.
//!
//! Only the thread itself and its signal handlers look here. A handler sees the stores of the code that it
//! interrupted in their order, which a fence for the compiler keeps.

use super::{fence, fork};
use crate::status::{Error, Status};
use crate::sys::cell::{BUSY, cell};

const HOST: u32 = 0;
#[cfg(unix)]
const RESTING: u32 = 2;

/// A call of the library, from its boundary until it returns.
pub struct Call {
    interrupted: u32,
}

impl Call {
    /// The calling thread enters the library.
    #[inline]
    pub fn begin() -> Call {
        let cell = cell();
        let interrupted = cell.activity.replace(BUSY);
        if interrupted == BUSY {
            cell.handlers.set(cell.handlers.get() + 1);
        }
        fence::signal();
        Call { interrupted }
    }

    /// Whether a signal handler makes it over the library at work on this thread.
    #[inline]
    pub fn is_over_the_library(&self) -> bool {
        self.interrupted == BUSY
    }

    /// Whether it returns into code of the host's that nothing of the library's lies under.
    #[inline]
    pub fn comes_from_the_host(&self) -> bool {
        self.interrupted == HOST
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        fence::signal();
        let cell = cell();
        if self.interrupted == BUSY {
            cell.handlers.set(cell.handlers.get() - 1);
        } else {
            fork::do_deferred();
        }
        cell.activity.set(self.interrupted);
    }
}

/// What such a call answers if it cannot do without what the interrupted code may have locked.
pub fn interrupted() -> Error {
    Status::WouldBlock.because("a signal handler interrupted this library on this thread")
}

/// Runs `wait`, which sleeps and touches nothing of the library's: signal handlers may call it meanwhile.
#[cfg(unix)]
pub fn at_rest<R>(wait: impl FnOnce() -> R) -> R {
    struct Back(u32);
    impl Drop for Back {
        fn drop(&mut self) {
            fence::signal();
            cell().activity.set(self.0);
        }
    }
    fork::do_deferred();
    let _back = Back(cell().activity.replace(RESTING));
    fence::signal();
    wait()
}

/// Runs `call`, which is code of the host's.
pub fn in_the_host<R>(call: impl FnOnce() -> R) -> R {
    let cell = cell();
    let before = cell.activity.replace(HOST);
    fence::signal();
    let result = call();
    fence::signal();
    cell.activity.set(before);
    result
}

/// From the hook before a `fork` until the one after it the library is at work on this thread: a signal
/// handler meanwhile finds it half way through the fork, and may fork itself.
pub(crate) fn begin_fork() {
    let cell = cell();
    if cell.fork_hooks.get() == 0 {
        cell.before_fork.set(cell.activity.get());
    }
    fence::signal();
    cell.fork_hooks.set(cell.fork_hooks.get() + 1);
    fence::signal();
    cell.activity.set(BUSY);
    fence::signal();
}

/// What was deferred is done, unless a signal handler just forked over the library at work: then below it.
pub(crate) fn do_deferred_if_not_busy() {
    if cell().activity.get() != BUSY {
        fork::do_deferred();
    }
}

/// The fork is over. What was noted is read before the count falls: from there on it may be noted anew.
pub(crate) fn end_fork() {
    fence::signal();
    let cell = cell();
    let before = cell.before_fork.get();
    fence::signal();
    cell.fork_hooks.set(cell.fork_hooks.get() - 1);
    fence::signal();
    if cell.fork_hooks.get() == 0 {
        cell.activity.set(before);
    }
}
