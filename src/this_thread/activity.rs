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

use super::cell;
use crate::status::{Error, Status};
use crate::sync::fence;

const HOST: u32 = 0;
const BUSY: u32 = 1;
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
        }
        cell.activity.set(self.interrupted);
    }
}

/// Whether the present call comes from a signal handler over a section of this thread: then nothing that a
/// mutex of the library's protects may be touched.
#[inline]
pub fn is_over_a_section() -> bool {
    let cell = cell();
    cell.handlers.get() > 0 && cell.sections.get() > 0
}

/// Whether the present call comes from a signal handler over the library at work on this thread.
#[inline]
pub fn is_over_the_library() -> bool {
    cell().handlers.get() > 0
}

/// What such a call answers if it cannot do without what the interrupted code may have locked.
pub fn interrupted() -> Error {
    Status::WouldBlock.because("a signal handler interrupted this library on this thread")
}

/// Runs `wait`, which sleeps and touches nothing of the library's: signal handlers may call it meanwhile.
pub fn at_rest<R>(wait: impl FnOnce() -> R) -> R {
    struct Back(u32);
    impl Drop for Back {
        fn drop(&mut self) {
            fence::signal();
            cell().activity.set(self.0);
        }
    }
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
/// handler meanwhile finds it half way through the fork. Called before the fork is counted.
pub(super) fn begin_fork() {
    let cell = cell();
    if cell.forks.get() == 0 {
        cell.before_fork.set(cell.activity.get());
    }
    cell.activity.set(BUSY);
    fence::signal();
}

/// The fork is over, and counted no more.
pub(super) fn end_fork() {
    fence::signal();
    let cell = cell();
    if cell.forks.get() == 0 {
        cell.activity.set(cell.before_fork.get());
    }
}
