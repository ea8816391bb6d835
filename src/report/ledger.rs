//! The ledger of deliberate leaks: what was kept because a live thread or the kernel may touch it.

/// What kind of thing was leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum LeakKind {
    /// An in-flight operation with its buffers.
    Overlapped = 1,
    /// A writer's buffer, whose lock's owner is still alive; or its handle that could not be closed in time.
    Writer = 2,
    /// A thread's host state.
    ThreadState = 3,
    /// A child runtime.
    Child = 4,
    /// A tracked object.
    Object = 5,
    /// Something of the host's own.
    Host = 6,
}

impl LeakKind {
    /// The kind of this number.
    pub fn from_number(number: u32) -> Option<LeakKind> {
        use LeakKind::{Child, Host, Object, Overlapped, ThreadState, Writer};
        [Overlapped, Writer, ThreadState, Child, Object, Host]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }

    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            LeakKind::Overlapped => "overlapped operation",
            LeakKind::Writer => "writer buffer",
            LeakKind::ThreadState => "thread state",
            LeakKind::Child => "child runtime",
            LeakKind::Object => "object",
            LeakKind::Host => "of the host",
        }
    }
}

/// One deliberate leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What it is.
    pub kind: LeakKind,
    /// Whose.
    pub name: String,
    /// How much memory of the library's it keeps; 0 where only the host knows.
    pub bytes: u64,
    /// Why it could not be freed.
    pub reason: String,
}
