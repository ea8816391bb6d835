//! Who a thread is to the locks: an identity that is never used twice, and its fate.
//!
//! A lock stores the [`OwnerId`] of its holder and nothing else. Whether that holder can ever let
//! go is asked here. CPython cannot ask: its buffered lock only knows a thread identifier that the
//! system reuses, so at exit it waits a second and aborts (bpo-23309).
//!
//! # Fates
//!
//! ```text
//!            park for good (this thread, at a checkpoint or on entering)
//!   Running ──────────────────────────────────────────────▶ Parked
//!      │
//!      └──────────────── the thread ends ─────────────────▶ Exited (and leaves the table)
//! ```
//!
//! Only the thread itself, its exit hook, or the child of a `fork` (for threads that were not
//! copied) changes a fate, and only away from `Running`. On Windows a thread that was terminated has
//! exited, too; but it wakes nobody, so waiters look again from time to time. An id that is not in the
//! [table](self::table) belongs to a thread that has exited.
//!
//! Id and fate are one word, so that a look at a record finds the fate of the thread it asked for, or that
//! the record is another thread's by now.
//!
//! # Who wakes a waiter whose owner went
//!
//! The departing thread does not know which locks it holds; that would cost every acquire a list.
//! Instead a waiter says where it waits, and the departing thread looks there:
//!
//! ```text
//!   waiter:     waiting_at = lock  (SeqCst)      owner:  fate = Parked        (SeqCst)
//!               fate == Running?   (SeqCst)              every waiting_at     (SeqCst)
//!               then sleep on lock                       wake those locks
//! ```
//!
//! In the one order of these four either the waiter sees the fate and does not sleep, or the owner
//! sees the waiter and wakes it (it queues under the parking lot's lock before it sleeps).

#[cfg(all(windows, not(loom)))]
mod handle;
#[cfg_attr(loom, path = "record/model_table.rs")]
mod table;

pub use table::OwnerRef;

use crate::status::Result;
use crate::sync::{
    AtomicU32, AtomicU64, AtomicUsize, Mutation, Mutex, Ordering, mutated, wake_all,
};
use std::num::NonZeroU64;
use table::Table;

/// A thread's identity. Never zero, never reused while the process lives, and below 2⁶².
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(NonZeroU64);

impl OwnerId {
    /// The id of this number; `None` for zero.
    #[inline]
    pub fn new(id: u64) -> Option<OwnerId> {
        NonZeroU64::new(id).map(OwnerId)
    }

    /// The number.
    #[inline]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// What may still be expected of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It may run.
    Running,
    /// It was parked for good and will never run again.
    Parked,
    /// It has ended.
    Exited,
}

const RUNNING: u64 = 0;
const PARKED: u64 = 1;
const EXITED: u64 = 2;
const LIVENESS_BITS: u32 = 2;
const FATE_MASK: u64 = (1 << LIVENESS_BITS) - 1;

/// A wait, a signal handler's over it, and another's over that.
const NESTED_WAITS: usize = 3;

/// What is known of one thread.
pub struct Owner {
    /// `id << 2 | fate`.
    word: AtomicU64,
    /// The addresses of the locks this thread waits for, each 0 when unused. More than one is in
    /// use when a signal handler waits over a wait.
    waiting_at: [AtomicUsize; NESTED_WAITS],
    tid: AtomicU32,
    name: Mutex<Option<Box<str>>>,
    /// Whether that is this thread's, and not a former one's.
    is_named: AtomicU32,
    /// Whether the thread is inside a section that a `fork` must wait for.
    #[cfg(not(loom))]
    inside: AtomicU32,
    #[cfg(all(windows, not(loom)))]
    handle: handle::Handle,
    #[cfg_attr(loom, expect(dead_code, reason = "a model's table keeps nothing there"))]
    place: table::Place,
}

impl Default for Owner {
    fn default() -> Owner {
        Owner {
            word: AtomicU64::new(0),
            waiting_at: std::array::from_fn(|_| AtomicUsize::new(0)),
            tid: AtomicU32::new(0),
            name: Mutex::new(None),
            is_named: AtomicU32::new(0),
            #[cfg(not(loom))]
            inside: AtomicU32::new(0),
            #[cfg(all(windows, not(loom)))]
            handle: handle::Handle::none(),
            place: table::Place::default(),
        }
    }
}

impl Owner {
    /// This thread's identity.
    #[inline]
    pub fn id(&self) -> OwnerId {
        // Relaxed: it does not change while the caller refers to the record.
        let id = self.word.load(Ordering::Relaxed) >> LIVENESS_BITS;
        OwnerId::new(id).expect("a record that is referred to has an owner")
    }

    /// What may still be expected of it.
    pub fn liveness(&self) -> Liveness {
        // SeqCst: the waiter's half of the exchange above. It also acquires everything the thread
        // wrote before it went, so that a taker-over sees the buffer the last owner left.
        match self.word.load(Ordering::SeqCst) & FATE_MASK {
            #[cfg(not(loom))]
            RUNNING if crate::sys::process_end::has_killed(self.tid()) => Liveness::Exited,
            #[cfg(all(windows, not(loom)))]
            RUNNING if self.handle.has_stopped() => Liveness::Exited,
            RUNNING => Liveness::Running,
            PARKED => Liveness::Parked,
            _ => Liveness::Exited,
        }
    }

    fn set_liveness(&self, liveness: u64) {
        // SeqCst: the owner's half of the exchange in the module's head; it also releases what
        // this thread wrote under its locks.
        self.word.store(self.id().get() << LIVENESS_BITS | liveness, Ordering::SeqCst);
    }

    /// The record becomes that of a thread that runs, the calling one.
    fn begin(&self, id: OwnerId, tid: u32) {
        self.tid.store(tid, Ordering::Relaxed);
        #[cfg(all(windows, not(loom)))]
        self.handle.follow_this_thread();
        // SeqCst: who finds the record by its id finds the rest of it; and see `Table::each`.
        self.word.store(id.get() << LIVENESS_BITS | RUNNING, Ordering::SeqCst);
    }

    /// Nobody refers to the record any more. The memory of its name stays: a signal handler may be what lets
    /// go of it last, over the heap.
    #[cfg(not(loom))]
    fn forget(&self) {
        self.is_named.store(0, Ordering::Relaxed);
        #[cfg(windows)]
        self.handle.forget();
    }

    /// The system's number for the thread, 0 where there is none.
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    #[cfg(not(loom))]
    pub(crate) fn inside(&self) -> &AtomicU32 {
        &self.inside
    }

    /// Names the thread for reports.
    pub fn set_name(&self, name: Option<&str>) {
        let name = name.map(Box::from);
        let mut present = self.name.lock();
        self.is_named.store(name.is_some().into(), Ordering::Relaxed);
        let former = std::mem::replace(&mut *present, name);
        drop(present);
        drop(former);
    }

    fn is_named(&self) -> bool {
        // Relaxed: it changes under the name's lock, or while nobody refers to the record.
        self.is_named.load(Ordering::Relaxed) != 0
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<String> {
        self.name.lock().as_deref().filter(|_| self.is_named()).map(str::to_owned)
    }

    /// Writes its name, with nothing allocated; says whether it has one.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub fn write_name(&self, out: &mut impl std::fmt::Write) -> bool {
        let name = self.name.lock();
        let name = name.as_deref().filter(|_| self.is_named());
        name.is_some_and(|name| out.write_str(name).is_ok())
    }

    /// Whom a report names: `'worker' (thread 4711)`, or `thread 4711`.
    pub fn describe(&self) -> String {
        let tid = self.tid();
        match self.name.lock().as_deref().filter(|_| self.is_named()) {
            Some(name) => format!("'{name}' (thread {tid})"),
            None => format!("thread {tid}"),
        }
    }

    /// Says that this thread waits at `lock` for as long as the answer lives.
    ///
    /// A signal handler may wait for one lock over a wait for another. Both are listed: the outer
    /// one may be asleep already, in its queue, and only a wake-up makes it look again. The
    /// first of more than `NESTED_WAITS` is hidden while the last lasts.
    pub fn waiting_at(&self, lock: usize) -> WaitNote<'_> {
        // Relaxed: only this thread and handlers that run on it write these.
        let unused = self.waiting_at.iter().position(|at| at.load(Ordering::Relaxed) == 0);
        let unused = unused.filter(|_| !mutated(Mutation::NoteHidesOuterNote)).unwrap_or(0);
        let at = &self.waiting_at[unused];
        // SeqCst: the waiter's half of the exchange in the module's head.
        WaitNote { at, before: at.swap(lock, Ordering::SeqCst) }
    }
}

/// While it lives, its thread is listed as waiting.
pub struct WaitNote<'a> {
    at: &'a AtomicUsize,
    before: usize,
}

impl Drop for WaitNote<'_> {
    fn drop(&mut self) {
        // Relaxed: a stale note costs one needless wake-up.
        self.at.store(self.before, Ordering::Relaxed);
    }
}

/// All threads that can own a lock and have not exited.
pub struct Owners {
    table: Table,
}

impl Owners {
    /// An empty table.
    #[cfg(not(loom))]
    pub const fn new() -> Owners {
        Owners { table: Table::new() }
    }

    /// An empty table.
    #[cfg(loom)]
    pub fn new() -> Owners {
        Owners { table: Table::new() }
    }

    /// Enters the calling thread, whose system number is `tid`.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn introduce(&self, tid: u32) -> Result<OwnerRef> {
        self.table.insert(tid)
    }

    /// The thread of this id; `None` when it has exited.
    pub fn find(&self, id: OwnerId) -> Option<OwnerRef> {
        self.table.find(id)
    }

    /// Whether a thread is inside a section, but for the one whose word for that is `own`.
    #[cfg(not(loom))]
    pub(crate) fn any_inside(&self, own: *const AtomicU32) -> bool {
        self.table.any(|owner| {
            // Acquire: pairs with the Release of a thread that leaves.
            !std::ptr::eq(own, owner.inside()) && owner.inside().load(Ordering::Acquire) != 0
        })
    }

    /// In the child of a fork: nobody is, but for the thread whose word for that is `own`.
    #[cfg(not(loom))]
    pub(crate) fn nobody_is_inside_but(&self, own: *const AtomicU32) {
        self.table.any(|owner| {
            if !std::ptr::eq(own, owner.inside()) {
                owner.inside().store(0, Ordering::Relaxed);
            }
            false
        });
    }

    /// The calling thread, which is `owner`, will never run again. It keeps its place in the
    /// table: it still exists, and reports name it.
    pub fn park_for_good(&self, owner: &Owner) {
        owner.set_liveness(PARKED);
        self.wake_waiters_of_the_gone();
    }

    /// `owner`'s thread has ended.
    pub fn retire(&self, owner: &Owner) {
        owner.set_liveness(EXITED);
        self.wake_waiters_of_the_gone();
        self.table.remove(owner);
    }

    fn wake_waiters_of_the_gone(&self) {
        if !mutated(Mutation::GoneWakesNobody) {
            self.wake_waiters();
        }
    }

    /// Wakes every thread that waits for a lock, to look at the rules and the owner again.
    pub fn wake_waiters(&self) {
        self.table.each(|owner| {
            for at in &owner.waiting_at {
                // SeqCst: the second half of the departing thread's exchange.
                match at.load(Ordering::SeqCst) {
                    0 => {}
                    lock => wake_all(lock),
                }
            }
        });
    }

    /// In the child of a `fork`: the thread of this record, which has a reference, was not copied.
    #[cfg(not(loom))]
    pub(crate) fn forked_away(&self, owner: &Owner) {
        for at in &owner.waiting_at {
            at.store(0, Ordering::Relaxed);
        }
        // One that was just ending has left the table already.
        if owner.word.load(Ordering::Relaxed) & FATE_MASK != EXITED {
            owner.set_liveness(EXITED);
            self.table.remove(owner);
        }
    }

    /// In the child of a `fork` only `survivor` (if it is known at all) still exists.
    pub fn forked(&self, survivor: Option<&Owner>, tid: u32) {
        let survivor_id = survivor.map(Owner::id);
        self.table.each(|owner| {
            if Some(owner.id()) == survivor_id {
                owner.tid.store(tid, Ordering::Relaxed);
            } else {
                owner.set_liveness(EXITED);
                self.table.remove(owner);
            }
        });
    }
}

impl Default for Owners {
    fn default() -> Owners {
        Owners::new()
    }
}
