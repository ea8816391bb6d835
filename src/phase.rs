//! The phases of a finalization, in their order.

/// A step of finalization. The numbers are the order, and part of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Phase {
    /// Wait for open guards.
    Guards = 1,
    /// Wait for non-daemon threads to detach.
    Threads = 2,
    /// Drain pending calls.
    Pending = 3,
    /// Run at-exit callbacks, last in first out.
    AtExit = 4,
    /// Finalize child runtimes.
    Children = 5,
    /// Flush writers while everything still works, so that a later overrun cannot cost data.
    FlushEarly = 6,
    /// The point of no return: stop the other threads.
    Freeze = 7,
    /// Flush again, now that nobody can add a byte, with lock recovery.
    FlushFrozen = 8,
    /// The host clears its state; tracked objects are finalized.
    Finalize = 9,
    /// Flush what the finalizers wrote.
    FlushLate = 10,
    /// Deallocate tracked objects: C data only.
    Dealloc = 11,
    /// Cancel in-flight operations, or leak them.
    Overlapped = 12,
    /// Reclaim the states of threads that have exited or can never run.
    Reclaim = 13,
    /// Low-level exit functions, last in first out.
    ExitFunctions = 14,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Phase; 14] = [
        Phase::Guards,
        Phase::Threads,
        Phase::Pending,
        Phase::AtExit,
        Phase::Children,
        Phase::FlushEarly,
        Phase::Freeze,
        Phase::FlushFrozen,
        Phase::Finalize,
        Phase::FlushLate,
        Phase::Dealloc,
        Phase::Overlapped,
        Phase::Reclaim,
        Phase::ExitFunctions,
    ];

    /// The phase of this number.
    pub fn from_number(number: u32) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| *phase as u32 == number)
    }

    /// The name reports use.
    pub const fn name(self) -> &'static str {
        self.name_with_nul().split_at(self.name_with_nul().len() - 1).0
    }

    /// The name with its terminating NUL, for C.
    pub const fn name_with_nul(self) -> &'static str {
        match self {
            Phase::Guards => "guards\0",
            Phase::Threads => "threads\0",
            Phase::Pending => "pending\0",
            Phase::AtExit => "atexit\0",
            Phase::Children => "children\0",
            Phase::FlushEarly => "flush-early\0",
            Phase::Freeze => "freeze\0",
            Phase::FlushFrozen => "flush-frozen\0",
            Phase::Finalize => "finalize\0",
            Phase::FlushLate => "flush-late\0",
            Phase::Dealloc => "dealloc\0",
            Phase::Overlapped => "overlapped\0",
            Phase::Reclaim => "reclaim\0",
            Phase::ExitFunctions => "exit-functions\0",
        }
    }

    /// Whether the phase goes round again until a pass finds nothing to do.
    pub const fn repeats(self) -> bool {
        (self as u32) <= Phase::AtExit as u32
    }

    /// What the phase counts, for the report's `work` column.
    pub const fn unit(self) -> &'static str {
        match self {
            Phase::Guards => "guards",
            Phase::Threads | Phase::Freeze | Phase::Reclaim => "threads",
            Phase::Pending => "calls",
            Phase::AtExit => "callbacks",
            Phase::Children => "runtimes",
            Phase::FlushEarly | Phase::FlushFrozen | Phase::FlushLate => "bytes",
            Phase::Finalize | Phase::Dealloc => "objects",
            Phase::Overlapped => "operations",
            Phase::ExitFunctions => "functions",
        }
    }

    /// How long the library's own waits in the phase may last when the host sets no budget; negative
    /// means no limit. After `freeze` only a wait for a destination may be unlimited: one that is
    /// slow is not dead. (Locks are, there too, for the grace.)
    pub const fn default_budget_us(self) -> i64 {
        match self {
            Phase::Freeze | Phase::Overlapped => 500_000,
            Phase::FlushEarly => 100_000,
            Phase::FlushFrozen | Phase::FlushLate => -1,
            Phase::Finalize | Phase::Dealloc | Phase::Reclaim | Phase::ExitFunctions => 1_000_000,
            _ => -1,
        }
    }

    /// Its place in tables, from 0.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}
