//! The phases of a finalization, in their order, and the handlers a host hangs on them.

use crate::host_call::HostCall;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::ops::Bound;

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

    /// How long the library's own waits in the phase may last when the host sets no budget;
    /// negative is for ever, which only the phases before `freeze` may be.
    pub const fn default_budget_us(self) -> i64 {
        match self {
            Phase::Freeze | Phase::Overlapped => 500_000,
            // Bounded by the grace, which all flushes share.
            Phase::FlushEarly | Phase::FlushFrozen | Phase::FlushLate => 1_000_000,
            Phase::Finalize | Phase::Dealloc | Phase::Reclaim | Phase::ExitFunctions => 1_000_000,
            _ => -1,
        }
    }

    /// Its place in tables, from 0.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// A host's handler on a phase.
pub struct Handler {
    /// Its identity, for removal.
    pub id: u64,
    /// Its phase.
    pub phase: Phase,
    /// Below zero it runs before the phase's own work, from zero on after it; smaller runs first.
    pub order: i32,
    /// The name reports use.
    pub name: Box<str>,
    /// What it does.
    pub call: HostCall,
}

/// The handlers of a runtime, by phase, order and age.
#[derive(Default)]
pub struct Handlers {
    in_order: BTreeMap<Key, Arc<Handler>>,
    by_id: BTreeMap<u64, Key>,
}

type Key = (Phase, i32, u64);

/// Which of a phase's handlers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those with a negative order.
    BeforeWork,
    /// The others.
    AfterWork,
}

impl Handlers {
    /// None.
    pub const fn new() -> Handlers {
        Handlers { in_order: BTreeMap::new(), by_id: BTreeMap::new() }
    }

    /// Adds one.
    pub fn add(&mut self, handler: Arc<Handler>) {
        let key = (handler.phase, handler.order, handler.id);
        self.by_id.insert(handler.id, key);
        self.in_order.insert(key, handler);
    }

    /// Takes one out.
    pub fn remove(&mut self, id: u64) -> Option<Arc<Handler>> {
        let key = self.by_id.remove(&id)?;
        self.in_order.remove(&key)
    }

    /// The first of `phase` and `side` that comes after `last` in the order.
    ///
    /// Handlers are asked for one at a time, so that one may add or remove others while it runs.
    pub fn next(&self, phase: Phase, side: Side, last: Option<(i32, u64)>) -> Option<Arc<Handler>> {
        let first = match (last, side) {
            (Some((order, id)), _) => Bound::Excluded((phase, order, id)),
            (None, Side::BeforeWork) => Bound::Included((phase, i32::MIN, 0)),
            (None, Side::AfterWork) => Bound::Included((phase, 0, 0)),
        };
        let (_, next) = self.in_order.range((first, Bound::Unbounded)).next()?;
        let belongs = next.phase == phase && (next.order < 0) == (side == Side::BeforeWork);
        belongs.then(|| next.clone())
    }
}
