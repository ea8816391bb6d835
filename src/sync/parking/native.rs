//! The queues on Linux: records on the sleepers' own stacks, and a futex in each.
//!
//! # States of a sleeper
//!
//! ```text
//!   QUEUED ──a waker, under the bucket's lock──▶ WOKEN
//!     │
//!     └──its time is over: it takes itself out, under the bucket's lock
//! ```
//!
//! Only a waker stores `WOKEN`, and it has taken the record out of the queue before. From that store on
//! the record's memory may be gone: the sleeper may see `WOKEN` without the futex and return. A sleeper
//! whose time is over looks at its own state under the bucket's lock, so one of the two happens: it was
//! woken, or it leaves the queue.
//!
//! # Signal handlers and `fork`
//!
//! A record belongs to one wait and not to its thread, so a handler may wait over a wait. A thread holds a
//! pass of the fork's gate whenever it holds a bucket's lock, so no child finds a bucket locked. What a
//! child does find is the records of threads that were not copied; [`forked`] takes them out.

use super::Parked;
use crate::sync::activity;
use crate::sync::{AtomicU32, Deadline, Ordering, SpinWait, fork, futex};
use crate::sys::cell;
use std::cell::UnsafeCell;
use std::ptr::null_mut;

const QUEUED: u32 = 0;
const WOKEN: u32 = 1;

/// One wait of one thread.
struct Sleeper {
    key: usize,
    /// Tells the threads of a process apart: the child of a `fork` keeps the records of one.
    thread: usize,
    state: AtomicU32,
    next: *mut Sleeper,
    previous: *mut Sleeper,
}

/// The queues of all keys that have the same hash, as one list.
#[repr(align(64))]
struct Bucket {
    lock: AtomicU32,
    list: UnsafeCell<List>,
}

// SAFETY: the list is touched by whoever holds the lock, and so are the links of what is in it.
unsafe impl Sync for Bucket {}

struct List {
    first: *mut Sleeper,
    last: *mut Sleeper,
}

const BUCKETS: usize = 256;

static TABLE: [Bucket; BUCKETS] = [const {
    Bucket {
        lock: AtomicU32::new(FREE),
        list: UnsafeCell::new(List { first: null_mut(), last: null_mut() }),
    }
}; BUCKETS];

fn bucket(key: usize) -> &'static Bucket {
    // Fibonacci hashing: the high bits of the product depend on all bits of the key.
    let hash = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    &TABLE[(hash >> (64 - BUCKETS.ilog2())) as usize]
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and another thread may sleep on the lock.
const WANTED: u32 = 2;

/// The list of a bucket, locked. While one exists its thread holds a pass.
struct Locked {
    bucket: &'static Bucket,
    _pass: fork::Pass,
}

impl Bucket {
    fn lock(&'static self) -> Locked {
        let pass = fork::enter();
        let mut spin = SpinWait::new();
        let take = |free| {
            // Acquire: pairs with the Release in `Locked::drop`.
            let taken =
                self.lock.compare_exchange(FREE, free, Ordering::Acquire, Ordering::Relaxed);
            taken.is_ok()
        };
        while !take(HELD) {
            if spin.spin() {
                continue;
            }
            // Acquire: as above. Once it has slept here it cannot know whether it was the last.
            while self.lock.swap(WANTED, Ordering::Acquire) != FREE {
                futex::wait(&self.lock, WANTED, None);
            }
            break;
        }
        Locked { bucket: self, _pass: pass }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Release: pairs with the Acquires in `lock`.
        if self.bucket.lock.swap(FREE, Ordering::Release) == WANTED {
            futex::wake(self.bucket.lock.as_ptr().addr());
        }
    }
}

impl Locked {
    fn list(&mut self) -> &mut List {
        // SAFETY: this holds the lock, and the borrow is of this.
        unsafe { &mut *self.bucket.list.get() }
    }
}

impl List {
    /// # Safety
    /// `sleeper` is in no list, and stays where it is until it was taken out.
    unsafe fn append(&mut self, sleeper: *mut Sleeper) {
        // SAFETY: what is in the list is alive, by this function's own contract.
        unsafe {
            (*sleeper).previous = self.last;
            (*sleeper).next = null_mut();
            match self.last.is_null() {
                true => self.first = sleeper,
                false => (*self.last).next = sleeper,
            }
        }
        self.last = sleeper;
    }

    /// # Safety
    /// `sleeper` is in this list.
    unsafe fn take_out(&mut self, sleeper: *mut Sleeper) {
        // SAFETY: what is in the list is alive.
        unsafe {
            let Sleeper { next, previous, .. } = *sleeper;
            match previous.is_null() {
                true => self.first = next,
                false => (*previous).next = next,
            }
            match next.is_null() {
                true => self.last = previous,
                false => (*next).previous = previous,
            }
        }
    }

    /// The first sleeper from `start` on for which `is_it` holds; else null.
    fn find(start: *mut Sleeper, is_it: impl Fn(&Sleeper) -> bool) -> *mut Sleeper {
        let mut next = start;
        // SAFETY: what is in the list is alive.
        while let Some(sleeper) = unsafe { next.as_ref() } {
            if is_it(sleeper) {
                return next;
            }
            next = sleeper.next;
        }
        null_mut()
    }
}

/// Waits in the queue of `key` until woken or `deadline`.
///
/// `needed` runs under the queue's own lock, so a waker that changes what `needed` reads and then wakes
/// `key` cannot be missed. It must not block, nor take any mutex.
pub fn park(key: usize, needed: impl FnOnce() -> bool, deadline: Deadline) -> Parked {
    let bucket = bucket(key);
    let mut sleeper = Sleeper {
        key,
        thread: cell::address(),
        state: AtomicU32::new(QUEUED),
        next: null_mut(),
        previous: null_mut(),
    };
    let sleeper = &raw mut sleeper;
    let mut locked = bucket.lock();
    if !needed() {
        return Parked::NotNeeded;
    }
    // SAFETY: the record stays until this function returns, and by then it was taken out: by a waker, or
    // below.
    unsafe { locked.list().append(sleeper) };
    drop(locked);
    // SAFETY: as above. Others only store to the state, and touch the links under the lock.
    let state = unsafe { &(*sleeper).state };
    loop {
        // Acquire: pairs with the waker's Release.
        if state.load(Ordering::Acquire) == WOKEN {
            return Parked::Woken;
        }
        if deadline.passed() {
            let mut locked = bucket.lock();
            if state.load(Ordering::Acquire) == WOKEN {
                return Parked::Woken;
            }
            // SAFETY: it is queued, and nobody takes it out without this lock.
            unsafe { locked.list().take_out(sleeper) };
            return Parked::TimedOut;
        }
        activity::at_rest(|| futex::wait(state, QUEUED, deadline.left()));
    }
}

/// Takes a sleeper out and wakes it.
///
/// # Safety
/// `sleeper` is in the list that is locked.
unsafe fn wake(locked: &mut Locked, sleeper: *mut Sleeper) {
    // SAFETY: by this function's own contract; after the store the record may be gone, and only its
    // address is used.
    unsafe {
        locked.list().take_out(sleeper);
        let state = &raw const (*sleeper).state;
        // Release: pairs with the Acquire in `park`.
        (*state).store(WOKEN, Ordering::Release);
        futex::wake(state.addr());
    }
}

/// Wakes one thread parked on `key`. `before` runs under the queue's lock, before that thread can run,
/// and hears whether others stay behind.
pub fn wake_one(key: usize, before: impl FnOnce(bool)) {
    let mut locked = bucket(key).lock();
    let of_key = |sleeper: &Sleeper| sleeper.key == key;
    let first = List::find(locked.list().first, of_key);
    // SAFETY: what is in the list is alive.
    let Some(found) = (unsafe { first.as_ref() }) else { return before(false) };
    before(!List::find(found.next, of_key).is_null());
    // SAFETY: it was found in the list.
    unsafe { wake(&mut locked, first) };
}

/// Wakes every thread parked on `key`.
pub fn wake_all(key: usize) {
    let mut locked = bucket(key).lock();
    let mut start = locked.list().first;
    loop {
        let sleeper = List::find(start, |sleeper| sleeper.key == key);
        if sleeper.is_null() {
            return;
        }
        // SAFETY: it was found in the list; its successor is read before it is woken.
        unsafe {
            start = (*sleeper).next;
            wake(&mut locked, sleeper);
        }
    }
}

/// In the child of a `fork`: takes out the records of threads that were not copied. They would take
/// wake-ups meant for others, and their memory goes to the child's next threads.
pub fn forked() {
    let me = cell::address();
    take_all_out(|sleeper| sleeper.thread != me);
}

/// The calling thread will not return to what it waits for: it may stop in a signal handler over a wait.
/// A wake-up that it has had already is not passed on; whoever stops for good wakes everybody.
pub fn leave_queues() {
    let me = cell::address();
    take_all_out(|sleeper| sleeper.thread == me);
}

fn take_all_out(is_it: impl Fn(&Sleeper) -> bool) {
    for bucket in &TABLE {
        let mut locked = bucket.lock();
        loop {
            let found = List::find(locked.list().first, &is_it);
            if found.is_null() {
                break;
            }
            // SAFETY: it was found in the list. Where its thread was not copied by a fork its stack is
            // memory still, until the child makes threads.
            unsafe { locked.list().take_out(found) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicUsize};

    fn sleepers(key: usize) -> usize {
        let mut locked = bucket(key).lock();
        let (mut count, mut next) = (0, locked.list().first);
        while !next.is_null() {
            // SAFETY: what is in the list is alive.
            unsafe {
                count += usize::from((*next).key == key);
                next = (*next).next;
            }
        }
        count
    }

    fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn sleepers_of_a_key_are_woken_in_the_order_in_which_they_came() {
        static WORDS: [u8; 2] = [0; 2];
        let key = (&raw const WORDS[0]).addr();
        let order = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let before = sleepers(key);
                let order = order.clone();
                let thread = std::thread::spawn(move || {
                    assert_eq!(park(key, || true, Deadline::NEVER), Parked::Woken);
                    order.fetch_add(1, Ordering::SeqCst)
                });
                until(|| sleepers(key) == before + 1);
                thread
            })
            .collect();
        let mut others = [true; 3];
        for (place, stay) in others.iter_mut().enumerate() {
            wake_one(key, |more| *stay = more);
            until(|| order.load(Ordering::SeqCst) == place + 1);
        }
        assert_eq!(others, [true, true, false]);
        let came = threads.into_iter().map(|thread| thread.join().unwrap());
        assert!(came.eq(0..3));
    }

    #[test]
    fn a_sleeper_whose_time_is_over_leaves_its_queue() {
        static WORD: u8 = 0;
        let key = (&raw const WORD).addr();
        assert_eq!(park(key, || true, Deadline::after_us(1000)), Parked::TimedOut);
        assert_eq!(sleepers(key), 0);
        assert_eq!(park(key, || false, Deadline::NEVER), Parked::NotNeeded);
    }

    #[test]
    fn no_wake_up_is_lost_between_threads_that_time_out_all_the_time() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        const ROUNDS: u32 = 20_000;
        let key = WORD.as_ptr().addr();
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                std::thread::spawn(move || {
                    let mut seen = 0;
                    while seen < ROUNDS {
                        let still = || WORD.load(Ordering::SeqCst) == seen;
                        let patience = if n == 0 { -1 } else { n };
                        park(key, still, Deadline::after_us(patience));
                        seen = WORD.load(Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for _ in 0..ROUNDS {
            WORD.fetch_add(1, Ordering::SeqCst);
            wake_all(key);
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(sleepers(key), 0);
    }
}
