//! What a call can answer: one number, and a text that says what to do.

use std::borrow::Cow;
use std::fmt;

macro_rules! statuses {
    ($( $(#[doc = $doc:literal])* $name:ident = $value:literal, $text:literal; )*) => {
        /// The answer of a call: zero is success, positive a success worth knowing, negative an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Status { $( $(#[doc = $doc])* $name = $value, )* }

        impl Status {
            /// Every status there is, for tests and tables.
            pub const ALL: &'static [Status] = &[ $( Status::$name, )* ];

            /// What the status means, in a sentence fit for a log.
            pub const fn text(self) -> &'static str {
                match self { $( Status::$name => concat!($text, "\0"), )* }
            }
        }
    };
}

statuses! {
    /// Done.
    Ok = 0, "done";
    /// A lock was taken over from an owner that will never run again.
    Recovered = 1, "taken over from an owner that will never run again; check what it protects";
    /// Memory the kernel may still write to was kept, on purpose, and entered in the ledger.
    Leaked = 2, "still pending while finalizing; kept open and allocated on purpose";
    /// A handler did something and wants the passes to go round once more.
    Again = 3, "did some work; look again";
    /// A tracked object lives on: its finalize brought it back.
    Resurrected = 4, "brought back to life by its finalize; not deallocated";
    /// An operation has ended already, and says so to no completion port.
    Ended = 5, "ended already; no packet arrives at a completion port";
    /// Finalized, and the report is not where it was wished for.
    Unreported = 6, "finalized; the report could not be written where it was wished for";

    /// An argument has a value the call cannot use.
    Invalid = -1, "an argument has a value this call cannot use";
    /// A pointer that must be given is `NULL`.
    Null = -2, "a pointer that must be given is NULL";
    /// The handle was never issued, or was closed already.
    Handle = -3, "the handle was never issued or is closed already; do not use or close it again";
    /// `struct_size` does not fit any version of the struct.
    StructSize = -4, "struct_size fits no version of this struct; set it to sizeof the struct";
    /// A name is not UTF-8.
    Utf8 = -5, "a name is not UTF-8; pass UTF-8 or NULL";
    /// A size is zero, or more than can be had.
    Size = -6, "a size is zero or larger than an object can be";
    /// Memory ran out; nothing was changed.
    NoMemory = -7, "out of memory; nothing was changed";
    /// The thing named is not registered.
    NotFound = -8, "nothing of that identity is registered; it ran or was removed already";
    /// The platform does not have this.
    Unsupported = -9, "this platform does not support the operation";
    /// A dependency would close a cycle.
    Cycle = -10, "each would have to go before the other; leave one of these dependencies out";

    /// The time given ran out.
    Timeout = -20, "the time given ran out";
    /// This thread holds the lock already.
    Reentrant = -21, "this thread holds the lock already (a signal handler?); release it first";
    /// Finalizing, and the lock's owner is alive but did not let go within the grace.
    OwnerBlocked = -22, "the owner is alive and did not let go; do not touch or free what the lock protects";
    /// This thread does not hold the lock.
    NotOwner = -23, "this thread does not hold the lock; only its owner may release it";

    /// The runtime is being finalized, or has been.
    Finalizing = -30, "the runtime is finalizing or finalized; do not call into it any more";
    /// Finalize was called from inside a callback of the runtime or of a descendant.
    InCallback = -31, "finalize was called from inside a callback; return from the callback instead";
    /// The thread is not attached to this runtime.
    NotAttached = -32, "the thread is not attached to this runtime; attach it first";
    /// The thread is attached to this runtime already.
    AlreadyAttached = -33, "the thread is attached to this runtime already";
    /// The call belongs to another thread.
    WrongThread = -34, "the handle belongs to another thread; call from the thread that attached";
    /// The call does not fit the present state.
    State = -35, "the call does not fit the present state";
    /// The thread shall end: its runtime's policy is `exit`.
    ExitThread = -36, "the runtime finalizes and its policy is exit; end this thread";
    /// The thread is past its own end.
    ThreadExiting = -37, "the thread is past its own end; call before its last destructors run";

    /// The system refused; `errno` says why.
    Io = -50, "the system refused the operation; the bytes stay in the buffer";
    /// The descriptor is closed or cannot do this.
    BadDescriptor = -51, "the descriptor is closed or not open for this";
    /// The kernel still works on the operation.
    InFlight = -52, "the kernel still works on the operation; wait for it and call again";
    /// There is no room now, and the call was asked not to wait.
    WouldBlock = -53, "it cannot be done now without waiting";

    /// A callback failed.
    Callback = -60, "a callback failed";
    /// Finalization ended with data unflushed, a phase failed or a deadline passed.
    Incomplete = -61, "finalized, but not everything could be done; the report says what";
    /// Inside `dealloc` the runtime must not be called.
    InDealloc = -62, "called from inside dealloc, where only C data may be touched";
    /// A defect in this library, contained.
    Internal = -99, "a defect inside rtfinalize was contained; please report it with this text";
}

impl Status {
    /// Whether this is an error.
    pub const fn is_error(self) -> bool {
        (self as i32) < 0
    }

    /// The status of this number, if it is one.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::ALL.iter().copied().find(|status| *status as i32 == code)
    }

    /// Turns an error status into an [`Error`] with no further detail.
    pub const fn error(self) -> Error {
        Error { status: self, detail: Cow::Borrowed("") }
    }

    /// An [`Error`] of this status that says more.
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Error {
        Error { status: self, detail: detail.into() }
    }
}

/// Why a call failed, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    detail: Cow<'static, str>,
}

/// What fallible calls of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The number behind it.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What it says beyond its status; may be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.status.text().trim_end_matches('\0');
        if self.detail.is_empty() {
            f.write_str(text)
        } else {
            write!(f, "{}: {text}", self.detail)
        }
    }
}

impl std::error::Error for Error {}
