//! The door in a model: loom's atomics, mutexes and threads, and what loom has no notion of, built
//! on those: queues to wait in, and time.
//!
//! The queues behave as parking_lot_core's: one lock a key, first in first out, the check before
//! sleeping and the callback of a wake-up under that lock. A queue and its threads share nothing
//! else, so the model sees no ordering that the real queues do not give.
//!
//! Time is one event. A deadline is past, or never, or someday; someday is when a thread of the
//! model calls [`strike`], which the scheduler may place anywhere. As in parking_lot_core a waiter
//! that finds its time over takes its queue's lock, and is woken after all if somebody took it off
//! the queue before.
//!
//! Everything that lives in one run of a model is made by [`set_up`], before its threads.

use super::Mutation;
use loom::sync::atomic::fence;
use loom::thread::Thread;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

pub use std::sync::Arc;
pub use std::sync::atomic::Ordering;

/// loom takes `SeqCst` on an access for acquire and release only, but knows `SeqCst` fences. A fence
/// before every `SeqCst` read gives back the one order: any two of them with `SeqCst` writes before
/// them cannot both miss the other's write.
fn one_order(order: Ordering) {
    if order == Ordering::SeqCst && !mutated(Mutation::SeqCstIsAcqRel) {
        fence(Ordering::SeqCst);
    }
}

macro_rules! atomics {
    ($($name:ident: $value:ty;)*) => { $(
        #[doc = concat!("loom's `", stringify!($name), "`, with `SeqCst` in one order.")]
        pub struct $name(loom::sync::atomic::$name);

        #[allow(missing_docs, reason = "as in std")]
        impl $name {
            pub fn new(value: $value) -> $name {
                $name(loom::sync::atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                one_order(order);
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                // Unwinding from a failed model, which has no threads any more to schedule.
                if !std::thread::panicking() {
                    self.0.store(value, order);
                }
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                one_order(order);
                self.0.swap(value, order)
            }

            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                one_order(order);
                self.0.fetch_add(value, order)
            }

            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                one_order(order);
                self.0.fetch_sub(value, order)
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                one_order(success);
                self.0.compare_exchange(current, new, success, failure)
            }
        }
    )* };
}

atomics! {
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicI64: i64;
    AtomicUsize: usize;
}

pub mod fence {
    //! The asymmetric fence, as the full fence it stands for on both sides.

    use super::Ordering;

    /// Full.
    pub fn light() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Full.
    pub fn heavy() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }

    /// As the real one.
    pub fn acquire() {
        loom::sync::atomic::fence(Ordering::Acquire);
    }

    /// As the real one.
    pub fn release() {
        loom::sync::atomic::fence(Ordering::Release);
    }
}

/// loom's mutex, without poison.
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex that protects `value`.
    pub fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    /// Waits for the mutex.
    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("a model that panicked has ended")
    }
}

/// Spinning changes nothing but the number of steps, so here it is over at once.
pub struct SpinWait;

#[allow(missing_docs, reason = "as in parking_lot_core")]
#[allow(clippy::new_without_default, reason = "as in parking_lot_core")]
impl SpinWait {
    pub fn new() -> SpinWait {
        SpinWait
    }

    pub fn spin(&mut self) -> bool {
        false
    }

    pub fn reset(&mut self) {}
}

thread_local! {
    // loom runs all threads of a model on the thread that checks it.
    static SABOTAGED: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Whether `step` is to be left out.
pub fn mutated(step: Mutation) -> bool {
    SABOTAGED.get() == Some(step)
}

/// From now on models checked by the calling thread leave out `step`.
pub fn sabotage(step: Option<Mutation>) {
    SABOTAGED.set(step);
}

/// Reads a clock that no deadline is measured by.
pub fn now() -> Instant {
    Instant::now()
}

/// A point in the time of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// Has passed.
    Past,
    /// Passes when the clock strikes.
    Someday,
    /// Never passes.
    Never,
}

impl Deadline {
    /// Never passes.
    pub const NEVER: Deadline = Deadline::Never;

    /// Past for zero, someday for more, never for less.
    pub fn after_us(us: i64) -> Deadline {
        match us {
            0 => Deadline::Past,
            1.. => Deadline::Someday,
            _ => Deadline::Never,
        }
    }

    /// Whichever comes first.
    pub fn min(self, other: Deadline) -> Deadline {
        Ord::min(self, other)
    }

    /// Whether it lies in the past.
    pub fn passed(self) -> bool {
        match self {
            Deadline::Past => true,
            Deadline::Someday => STAGE.clock.struck(),
            Deadline::Never => false,
        }
    }
}

/// What one run of a model has besides its own data.
struct Stage {
    clock: Clock,
    /// By key. Not a loom mutex: the table is no part of what is modelled.
    queues: std::sync::Mutex<BTreeMap<usize, Arc<Queue>>>,
}

/// Time orders nothing, but nobody reads it stale: so loom sees the accesses, and places the stroke
/// everywhere among them, and the answer is std's.
struct Clock {
    seen_by_loom: loom::sync::atomic::AtomicBool,
    struck: std::sync::atomic::AtomicBool,
}

impl Clock {
    fn struck(&self) -> bool {
        self.seen_by_loom.load(Ordering::Relaxed);
        self.struck.load(Ordering::Relaxed)
    }

    fn strike(&self) {
        self.seen_by_loom.store(true, Ordering::Relaxed);
        self.struck.store(true, Ordering::Relaxed);
    }
}

type Queue = Mutex<VecDeque<Arc<Sleeper>>>;

/// A thread in a queue.
struct Sleeper {
    thread: Thread,
    deadline: Deadline,
    woken: loom::sync::atomic::AtomicBool,
}

loom::lazy_static! {
    static ref STAGE: Stage = Stage {
        clock: Clock {
            seen_by_loom: loom::sync::atomic::AtomicBool::new(false),
            struck: std::sync::atomic::AtomicBool::new(false),
        },
        queues: std::sync::Mutex::default(),
    };
}

/// How a call to [`park`] ended, as of the real queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as of the real queues")]
pub enum Parked {
    Woken,
    NotNeeded,
    TimedOut,
}

/// Begins a run of a model. loom orders everything that uses the stage after the one who made it,
/// so that must be the first thread, before it makes others.
pub fn set_up() {
    assert!(!Deadline::Someday.passed());
}

fn queue(key: usize) -> Arc<Queue> {
    let mut queues = STAGE.queues.lock().expect("nothing panics with the table locked");
    queues.entry(key).or_insert_with(|| Arc::new(Mutex::new(VecDeque::new()))).clone()
}

/// The clock strikes: someday has come.
pub fn strike() {
    STAGE.clock.strike();
    let queues = STAGE.queues.lock().expect("nothing panics with the table locked").clone();
    for queue in queues.values() {
        for sleeper in queue.lock().iter().filter(|sleeper| sleeper.deadline == Deadline::Someday) {
            sleeper.thread.unpark();
        }
    }
}

/// Waits in the queue of `key` until woken or `deadline`; `needed` runs under the queue's lock.
pub fn park(key: usize, needed: impl FnOnce() -> bool, deadline: Deadline) -> Parked {
    let queue = queue(key);
    let mut sleepers = queue.lock();
    if !needed() {
        return Parked::NotNeeded;
    }
    let sleeper = Arc::new(Sleeper {
        thread: loom::thread::current(),
        deadline,
        woken: loom::sync::atomic::AtomicBool::new(false),
    });
    sleepers.push_back(sleeper.clone());
    drop(sleepers);
    // Acquire: pairs with the Release of the waker, as parking_lot_core's parkers do.
    while !sleeper.woken.load(Ordering::Acquire) {
        if deadline.passed() {
            let mut sleepers = queue.lock();
            let place = sleepers.iter().position(|other| Arc::ptr_eq(other, &sleeper));
            return match place.and_then(|place| sleepers.remove(place)) {
                Some(_) => Parked::TimedOut,
                None => Parked::Woken,
            };
        }
        loom::thread::park();
    }
    Parked::Woken
}

/// Wakes one thread parked on `key`. `before` runs under the queue's lock, before that thread can
/// run, and hears whether others stay behind.
pub fn wake_one(key: usize, before: impl FnOnce(bool)) {
    let queue = queue(key);
    let mut sleepers = queue.lock();
    let first = sleepers.pop_front();
    before(!sleepers.is_empty());
    wake(first, sleepers);
}

/// Wakes every thread parked on `key`.
pub fn wake_all(key: usize) {
    let queue = queue(key);
    let mut sleepers = queue.lock();
    let all = std::mem::take(&mut *sleepers);
    wake(all, sleepers);
}

/// The woken may run before the queue's lock is free, as in parking_lot_core.
fn wake(
    woken: impl IntoIterator<Item = Arc<Sleeper>>,
    locked: loom::sync::MutexGuard<'_, VecDeque<Arc<Sleeper>>>,
) {
    let woken: Vec<_> = woken.into_iter().collect();
    for sleeper in &woken {
        sleeper.woken.store(true, Ordering::Release);
    }
    drop(locked);
    for sleeper in &woken {
        sleeper.thread.unpark();
    }
}
