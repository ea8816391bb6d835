//! The lock of a buffered reader or writer: one word with its owner in it.
//!
//! CPython's counterpart is the `lock`/`owner` pair of `Modules/_io/bufferedio.c`. There the owner
//! is a bare number; a finalizer that finds the lock held can only wait and abort. Here the word
//! names a thread whose fate can be asked ([`crate::thread::record`]), so that an owner that will never run
//! again is seen at once and the lock is taken over from it.
//!
//! # The word
//!
//! ```text
//!   63 ........................... 1   0
//!   owner id, 0 when free              WAITERS: somebody may sleep on this lock
//! ```
//!
//! | from            | to                     | by |
//! |-----------------|------------------------|----|
//! | free            | me                     | acquire, one compare-and-swap (Acquire) |
//! | me              | free                   | release, one compare-and-swap (Release) |
//! | owner           | owner + WAITERS        | a waiter, before it sleeps |
//! | me + WAITERS    | free (+ WAITERS)       | release, under the queue's lock; one waiter is woken |
//! | free + WAITERS  | me + WAITERS           | acquire, slow (Acquire) |
//! | gone (+WAITERS) | me (+WAITERS)          | takeover (Acquire); of several takers one succeeds |
//!
//! WAITERS may be set with nobody asleep (one that timed out leaves it); never the reverse. The
//! word is not touched after the store that frees it: the next owner may free the memory.
//!
//! A waiter that is woken looks at the word *before* it looks at the clock. Only then does it keep
//! the promise the wake-up was made on: that the lock, if free, is taken.
//!
//! # Who decides how long
//!
//! The word knows no rules. [`Rules`] says what is known of an owner, and whether the lock's
//! runtime is finalizing; every change of those bumps an epoch and wakes the waiters, who compare
//! the epoch under the queue's lock.

use crate::lock::grace::GraceSpan;
use crate::status::{Result, Status};
use crate::sync::{
    AtomicU32, AtomicU64, Deadline, Mutation, Ordering, Parked, SpinWait, mutated, park, wake_one,
};
use crate::thread::record::{Liveness, Owner, OwnerId, OwnerRef};

#[cfg(not(loom))]
use crate::sync::fork;

const WAITERS: u64 = 1;
const OWNER_SHIFT: u32 = 1;

/// How long a waiter sleeps before it looks at the owner: one that was terminated wakes nobody.
#[cfg(all(windows, not(loom)))]
const LOOK: std::time::Duration = std::time::Duration::from_millis(250);

/// How a lock came into the caller's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Acquired {
    /// It was free, or its owner released it.
    Released,
    /// Its owner will never run again, and was in the middle of whatever it did.
    Recovered,
}

/// A wait for a lock, noted as long as this lives.
#[cfg(not(loom))]
pub trait Wait {
    /// Whether it is for this owner.
    fn is_for(&self, owner: &Owner) -> bool;

    /// It ends without what it was for.
    fn give_up(self);
}

/// What the lock's slow path must know of the rest of the process.
pub trait Rules {
    /// The thread of this id; `None` when it has exited.
    fn find(&self, id: OwnerId) -> Option<OwnerRef>;

    /// How long `me` may wait for a live owner, when `runtime` is finalizing; else `None`.
    fn grace(&self, runtime: u32, me: OwnerId) -> Option<GraceSpan>;

    /// Notes a wait.
    #[cfg(not(loom))]
    type Wait<'a>: Wait
    where
        Self: 'a;

    /// The calling thread begins to wait for `owner` to let go of the lock at the address `key`. `None` if that
    /// is not noted.
    #[cfg(not(loom))]
    fn wait<'a>(&'a self, key: usize, owner: &Owner) -> Option<Self::Wait<'a>>;

    /// The lock at the address `key`, which follows `runtime`, was taken over; `owner` is `None` if it has ended
    /// and left the table. Called with nothing locked but that lock.
    fn taken_over(&self, runtime: u32, key: usize, owner: Option<&Owner>) {
        let _ = (runtime, key, owner);
    }

    /// A number that changes whenever `grace` may begin to answer differently.
    fn epoch(&self) -> u32;
}

/// The lock. At most 16 bytes, all zeroes when free, no heap.
///
/// It may be moved or freed when nobody holds it, waits for it or is inside a call on it. It
/// follows the process's default runtime unless made for another.
#[repr(C)]
pub struct BufferedLock {
    word: AtomicU64,
    /// The id of the runtime it follows; 0 is the default one.
    runtime: AtomicU32,
    /// Bytes of the owner's raw write that the kernel took and the buffer does not account for yet.
    progress: AtomicU32,
}

impl BufferedLock {
    /// A free lock that follows the default runtime.
    #[cfg(not(loom))]
    pub const fn new() -> BufferedLock {
        BufferedLock::following(0)
    }

    /// A free lock that follows the runtime of this id.
    #[cfg(not(loom))]
    pub const fn following(runtime: u32) -> BufferedLock {
        BufferedLock {
            word: AtomicU64::new(0),
            runtime: AtomicU32::new(runtime),
            progress: AtomicU32::new(0),
        }
    }

    /// A free lock, in a model.
    #[cfg(loom)]
    pub fn new() -> BufferedLock {
        BufferedLock {
            word: AtomicU64::new(0),
            runtime: AtomicU32::new(0),
            progress: AtomicU32::new(0),
        }
    }

    /// The one step an uncontended acquire takes.
    #[inline]
    pub fn take_free(&self, me: OwnerId) -> bool {
        // Acquire: pairs with the Release that freed the word.
        self.word
            .compare_exchange(0, me.get() << OWNER_SHIFT, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Acquires for `me`, waiting at most until `deadline` for an owner that may let go.
    ///
    /// # Errors
    /// `Reentrant`, `Timeout`, and while finalizing `OwnerBlocked`.
    #[inline]
    pub fn acquire_as(
        &self,
        me: &Owner,
        rules: &impl Rules,
        deadline: Deadline,
    ) -> Result<Acquired> {
        if self.take_free(me.id()) {
            return Ok(Acquired::Released);
        }
        self.acquire_slow(me, rules, deadline)
    }

    /// Acquires for the calling thread, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`acquire_as`](BufferedLock::acquire_as); `ThreadExiting` past the thread's own end.
    #[cfg(not(loom))]
    #[inline]
    pub fn acquire(&self, rules: &impl Rules, deadline: Deadline) -> Result<Acquired> {
        match crate::thread::this_thread::known_id() {
            Some(me) if self.take_free(me) => Ok(Acquired::Released),
            me if crate::sys::cell::is_over_the_library() => self.try_in_handler(me, deadline),
            _ => {
                let me = crate::thread::this_thread::owner()?;
                self.acquire_as(&me, rules, deadline)
            }
        }
    }

    /// Releases for the calling thread.
    ///
    /// # Errors
    /// `NotOwner`: nothing was changed.
    #[cfg(not(loom))]
    #[inline]
    pub fn release(&self) -> Result<()> {
        match crate::thread::this_thread::known_id() {
            Some(me) => self.release_as(me),
            None => Err(Status::NotOwner.error()),
        }
    }

    /// In a signal handler over the library at work on this thread: what cannot be said at once is not
    /// waited for, and neither is the lock taken over from an owner that is gone, which has to be told.
    #[cfg(not(loom))]
    #[cold]
    fn try_in_handler(&self, me: Option<OwnerId>, deadline: Deadline) -> Result<Acquired> {
        let interrupted = crate::sync::activity::interrupted;
        let me = me.ok_or_else(interrupted)?;
        loop {
            let word = self.word.load(Ordering::Relaxed);
            match OwnerId::new(word >> OWNER_SHIFT) {
                None if self.replace(word, me.get() << OWNER_SHIFT) => {
                    return Ok(Acquired::Released);
                }
                None => {}
                Some(holder) if holder == me => return Err(Status::Reentrant.error()),
                Some(_) if deadline.passed() => return Err(Status::Timeout.error()),
                Some(_) => return Err(interrupted()),
            }
        }
    }

    #[cold]
    fn acquire_slow<R: Rules>(
        &self,
        me: &Owner,
        rules: &R,
        deadline: Deadline,
    ) -> Result<Acquired> {
        let mine = me.id().get() << OWNER_SHIFT;
        let key = self.key();
        let mut spin = SpinWait::new();
        let mut grace: Option<GraceSpan> = None;
        let mut asked = None;
        #[cfg(not(loom))]
        let mut awaiting: Option<R::Wait<'_>> = None;
        loop {
            // Read before the rules it stands for are asked, and compared before sleeping.
            let epoch = rules.epoch();
            let word = self.word.load(Ordering::Relaxed);
            let owner = match OwnerId::new(word >> OWNER_SHIFT) {
                None => {
                    if self.replace(word, mine) {
                        return Ok(Acquired::Released);
                    }
                    continue;
                }
                Some(holder) if holder == me.id() => return Err(Status::Reentrant.error()),
                Some(holder) => match rules.find(holder) {
                    Some(owner) if !Self::will_never_run(&owner) => owner,
                    gone => {
                        if self.replace(word, mine) {
                            let runtime = self.runtime.load(Ordering::Relaxed);
                            rules.taken_over(runtime, key, gone.as_deref());
                            return Ok(Acquired::Recovered);
                        }
                        continue;
                    }
                },
            };
            if deadline.passed() {
                #[cfg(not(loom))]
                if let Some(awaiting) = awaiting {
                    awaiting.give_up();
                }
                return Err(Status::Timeout.error());
            }
            if asked != Some(epoch) {
                // A grace that has begun goes on; but not into a new life of the runtime.
                let rule = rules.grace(self.runtime.load(Ordering::Relaxed), me.id());
                grace = rule.map(|fresh| grace.take().unwrap_or(fresh));
                asked = Some(epoch);
            }
            let patience = grace.as_ref().map_or(Deadline::NEVER, |span| span.deadline);
            if patience.passed() {
                #[cfg(not(loom))]
                if let Some(awaiting) = awaiting.or_else(|| rules.wait(key, &owner)) {
                    awaiting.give_up();
                }
                return Err(Status::OwnerBlocked.because(format!("held by {}", owner.describe())));
            }
            if word & WAITERS == 0 {
                if spin.spin() {
                    continue;
                }
                let marked = self.word.compare_exchange(
                    word,
                    word | WAITERS,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if marked.is_err() {
                    continue;
                }
            }
            #[cfg(not(loom))]
            if !awaiting.as_ref().is_some_and(|awaiting| awaiting.is_for(&owner)) {
                drop(awaiting.take());
                awaiting = rules.wait(key, &owner);
            }
            let note = me.waiting_at(key);
            let still_held = || {
                self.word.load(Ordering::Relaxed) == word | WAITERS
                    && (mutated(Mutation::SleepSkipsFate) || owner.liveness() == Liveness::Running)
                    && (mutated(Mutation::SleepSkipsEpoch) || rules.epoch() == epoch)
            };
            let skip_grace = mutated(Mutation::SleepSkipsGrace);
            let until = if skip_grace { deadline } else { deadline.min(patience) };
            #[cfg(all(windows, not(loom)))]
            let until = until.min(Deadline::after(LOOK));
            let parked = park(key, still_held, until);
            drop(note);
            if parked == Parked::Woken {
                spin.reset();
            }
            if mutated(Mutation::TimeoutWithoutLook) && deadline.passed() {
                return Err(Status::Timeout.error());
            }
        }
    }

    fn will_never_run(owner: &Owner) -> bool {
        mutated(Mutation::TakeoverSkipsFate) || owner.liveness() != Liveness::Running
    }

    /// Puts `mine` in the place of whoever `word` names, and keeps its WAITERS.
    fn replace(&self, word: u64, mine: u64) -> bool {
        let waiters = if mutated(Mutation::TakerDropsWaiters) { 0 } else { word & WAITERS };
        if mutated(Mutation::TakeoverWithoutCompare) {
            return self.word.swap(mine | waiters, Ordering::Acquire) != mine;
        }
        // Acquire: pairs with the Release that freed the word; what an owner that went away wrote
        // is acquired by reading its fate.
        self.word
            .compare_exchange(word, mine | waiters, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Releases the lock held by `me`.
    ///
    /// # Errors
    /// `NotOwner`: nothing was changed.
    #[inline]
    pub fn release_as(&self, me: OwnerId) -> Result<()> {
        if self.let_go(me) { Ok(()) } else { self.release_slow(me) }
    }

    /// The one step an uncontended release takes.
    #[inline]
    pub fn let_go(&self, me: OwnerId) -> bool {
        // Release: pairs with the Acquire that takes the word next.
        self.word
            .compare_exchange(me.get() << OWNER_SHIFT, 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn release_slow(&self, me: OwnerId) -> Result<()> {
        // Relaxed: only this thread can make it true or false that it is the owner.
        if self.word.load(Ordering::Relaxed) & !WAITERS != me.get() << OWNER_SHIFT {
            return Err(Status::NotOwner.error());
        }
        if mutated(Mutation::ReleaseForgetsWaiters) {
            self.word.store(0, Ordering::Release);
            return Ok(());
        }
        #[cfg(not(loom))]
        if crate::sys::cell::is_over_a_section() {
            // The queue may be locked by the code below this handler. Whoever takes the lock next keeps the
            // mark, and those who sleep are woken as that code leaves its section.
            let wake = || crate::thread::this_thread::OWNERS.wake_waiters();
            fork::defer(fork::Deferred::WakeWaiters, wake);
            // Release: as below.
            self.word.store(WAITERS, Ordering::Release);
            return Ok(());
        }
        wake_one(self.key(), |more_sleep| {
            let waiters = more_sleep && !mutated(Mutation::ReleaseForgetsTheRest);
            // Release: as above. Nothing of the lock is touched from here on.
            self.word.store(if waiters { WAITERS } else { 0 }, Ordering::Release);
        });
        Ok(())
    }

    /// Whether `me` holds the lock.
    #[inline]
    pub fn is_held_by(&self, me: OwnerId) -> bool {
        // Relaxed: only this thread can make it true or false of itself.
        self.word.load(Ordering::Relaxed) >> OWNER_SHIFT == me.get()
    }

    /// The id of whoever holds the lock just now.
    pub fn holder(&self) -> Option<OwnerId> {
        OwnerId::new(self.word.load(Ordering::Relaxed) >> OWNER_SHIFT)
    }

    /// The holder says, before it can be parked, how many bytes of its raw write the kernel took.
    pub fn publish_progress(&self, bytes: u32) {
        // Relaxed: whoever takes over acquires it through the owner's fate.
        self.progress.store(bytes, Ordering::Relaxed);
    }

    /// What was published and not yet accounted for; the holder takes it, once.
    pub fn take_progress(&self) -> u32 {
        self.progress.swap(0, Ordering::Relaxed)
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Default for BufferedLock {
    fn default() -> BufferedLock {
        BufferedLock::new()
    }
}
