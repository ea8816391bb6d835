//! What an operation asks of whoever carries it out.

use crate::status::{Result, Status};
use crate::sync::Deadline;

/// How an operation ended: the bytes transferred, or an `errno`.
pub(crate) type Outcome = std::result::Result<usize, i32>;

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing touches its memory any more.
    Done(Outcome),
    /// Its memory must stay.
    Pending(Why),
}

impl Progress {
    /// Whether it is worth waiting for.
    pub fn may_end(self) -> bool {
        matches!(self, Progress::Pending(Why::InFlight | Why::BeingFreed))
    }
}

/// Why an operation's memory must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The kernel still works on it.
    InFlight,
    /// Whether it is done is not known.
    WaitFailed,
    /// The host's callbacks are gone with their plug-in.
    Unloaded,
    /// It is done, but a thread has not come out of the provider.
    ThreadInside,
    /// Another thread is freeing it.
    BeingFreed,
    /// It was begun before a `fork`, by the parent; the system's own lists may still name it.
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no fork"))]
    Forked,
}

impl Why {
    /// What the ledger says.
    pub fn text(self) -> &'static str {
        match self {
            Why::InFlight => "still in flight after it was asked to cancel",
            Why::WaitFailed => "its wait callback failed, so it may be in flight",
            Why::Unloaded => crate::sys::loaded_code::MAY_BE_IN_FLIGHT,
            Why::ThreadInside => "a thread is still inside a call on it",
            Why::BeingFreed => "another thread is still freeing it",
            Why::Forked => "it was begun by the process this one was forked from",
        }
    }

    /// The status a call gives that needed it done.
    pub fn status(self) -> Status {
        match self {
            Why::WaitFailed | Why::Unloaded => Status::Callback,
            Why::Forked => Status::State,
            Why::InFlight | Why::ThreadInside | Why::BeingFreed => Status::InFlight,
        }
    }
}

/// Carries operations out. Called from any thread, from several at once, with nothing locked.
pub(crate) trait Provider: Send + Sync {
    /// Starts the operation. Called once, before anything else.
    ///
    /// # Errors
    /// It was not started.
    fn submit(&self) -> Result<()>;

    /// Asks for a cancel, which may or may not happen.
    fn cancel(&self);

    /// Waits until the operation is done or `deadline`, which may have passed: then it only looks.
    fn wait(&self, deadline: Deadline) -> Progress;

    /// Gives back what the host lent. Called at most once, when nothing is in flight and no thread is
    /// in another call.
    fn close(&self);

    /// Whether it may still be asked for its progress once it was leaked.
    fn answers_when_leaked(&self) -> bool;

    /// The bytes the kernel may write to or read from, for the ledger.
    fn bytes(&self) -> u64;

    /// What an operation that read has read, once it is done.
    fn data(&self) -> Option<&[u8]>;

    /// The system's number for how it ended that is no error; 0 for nothing to remark.
    fn remark(&self) -> u32 {
        0
    }

    /// Whether it had ended when it was submitted, and the system tells no completion port of it.
    fn sends_no_packet(&self) -> bool {
        false
    }

    /// Where the `OVERLAPPED` is, if there is one.
    #[cfg(windows)]
    fn address(&self) -> *mut libc::c_void {
        std::ptr::null_mut()
    }
}
