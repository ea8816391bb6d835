//! The door as the library ships it: std atomics, parking_lot's mutex, parking_lot_core's queues.

use super::Parked;
#[cfg(windows)]
use crate::process_end;
use std::time::{Duration, Instant};

pub use parking_lot_core::SpinWait;
pub use std::sync::Arc;
pub use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// No step is left out in the real library; the compiler drops the branches that ask.
#[inline(always)]
pub const fn sabotaged(_: super::Sabotage) -> bool {
    false
}

/// Reads the clock all deadlines and reports are measured by.
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds on a clock that is cheap to read and some milliseconds late.
#[inline]
pub fn coarse_ms() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is writable; the call fills it or leaves the zeroes.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
        now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
    }
    #[cfg(windows)]
    // SAFETY: no arguments, no effects.
    return unsafe { windows_sys::Win32::System::SystemInformation::GetTickCount64() };
    #[cfg(not(any(target_os = "linux", windows)))]
    {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        START.get_or_init(now).elapsed().as_millis() as u64
    }
}

/// Sleeps, where there is no event to wait for.
#[cfg(not(target_os = "linux"))]
pub fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// Sleeps, where there is no event to wait for; also where the call for it is refused, by which std's panics.
#[cfg(target_os = "linux")]
pub fn sleep(span: Duration) {
    const MOST: Duration = Duration::from_secs(3600);
    let until = now().checked_add(span);
    loop {
        let left = until.map_or(MOST, |until| until.saturating_duration_since(now()).min(MOST));
        if left.is_zero() {
            return;
        }
        let time = libc::timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: left.subsec_nanos().into(),
        };
        // SAFETY: the time is filled; nothing else is read or written.
        let slept = unsafe { libc::nanosleep(&time, std::ptr::null_mut()) } == 0;
        let error = std::io::Error::last_os_error().raw_os_error();
        if !slept && error != Some(libc::EINTR) {
            let ms = left.as_millis().clamp(1, 1000) as libc::c_int;
            // SAFETY: no entries.
            if unsafe { libc::poll(std::ptr::null_mut(), 0, ms) } != 0 {
                std::thread::yield_now();
            }
        }
    }
}

/// A point in time, or never.
///
/// Built from the C side's microseconds: a negative number is for ever, and so is one too far
/// ahead for the clock to represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Never passes.
    pub const NEVER: Deadline = Deadline(None);

    /// `us` microseconds from now; negative is for ever.
    pub fn after_us(us: i64) -> Deadline {
        match u64::try_from(us) {
            Ok(us) => Deadline::after(Duration::from_micros(us)),
            Err(_) => Deadline::NEVER,
        }
    }

    /// `span` from now.
    pub fn after(span: Duration) -> Deadline {
        Deadline(now().checked_add(span))
    }

    /// At `instant`.
    pub fn at(instant: Instant) -> Deadline {
        Deadline(Some(instant))
    }

    /// Whichever comes first.
    pub fn min(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }

    /// Whether it lies in the past.
    pub fn passed(self) -> bool {
        self.0.is_some_and(|at| now() >= at)
    }

    /// Time left: zero once passed, `None` for ever.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(now()))
    }

    /// What [`Deadline::after_us`] takes to come to the same point in time.
    pub fn left_us(self) -> i64 {
        self.left().map_or(-1, |left| i64::try_from(left.as_micros()).unwrap_or(i64::MAX))
    }

    /// The instant itself, `None` for ever.
    pub fn instant(self) -> Option<Instant> {
        self.0
    }
}

/// Looks up, once, how the system makes a thread wait.
#[cfg(windows)]
pub fn prepare_parking() {
    static KEY: u8 = 0;
    park((&raw const KEY).addr(), || false, Deadline::NEVER);
}

/// Waits in the queue of `key` until woken or `deadline`.
///
/// `needed` runs under the queue's own lock, so a waker that changes what `needed` reads and then
/// wakes `key` cannot be missed. It must not block, nor take any mutex.
pub fn park(key: usize, needed: impl FnOnce() -> bool, deadline: Deadline) -> Parked {
    #[cfg(windows)]
    if process_end::under_way() {
        return if needed() { process_end::nobody_comes(deadline) } else { Parked::NotNeeded };
    }
    let pass = fork::enter();
    let pass = std::cell::Cell::new(Some(pass));
    // SAFETY: keys are addresses of this library's own lock words and gates, so nobody else parks
    // on them; the callbacks neither panic nor call back into the parking lot.
    let result = unsafe {
        parking_lot_core::park(
            key,
            needed,
            // The queue's lock is free again: from here a fork may copy this process.
            || drop(pass.take()),
            |_, _| {},
            parking_lot_core::DEFAULT_PARK_TOKEN,
            deadline.0,
        )
    };
    match result {
        parking_lot_core::ParkResult::Unparked(_) => Parked::Woken,
        parking_lot_core::ParkResult::Invalid => Parked::NotNeeded,
        parking_lot_core::ParkResult::TimedOut => Parked::TimedOut,
    }
}

/// Wakes one thread parked on `key`. `before` runs under the queue's lock, before that thread can
/// run, and hears whether others stay behind.
pub fn wake_one(key: usize, before: impl FnOnce(bool)) {
    #[cfg(windows)]
    if process_end::under_way() {
        return before(false);
    }
    let _pass = fork::enter();
    // SAFETY: see `park`; `before` only stores to an atomic.
    unsafe {
        parking_lot_core::unpark_one(key, |result| {
            before(result.have_more_threads);
            parking_lot_core::DEFAULT_UNPARK_TOKEN
        });
    }
}

/// Wakes every thread parked on `key`.
pub fn wake_all(key: usize) {
    #[cfg(windows)]
    if process_end::under_way() {
        return;
    }
    let _pass = fork::enter();
    // SAFETY: see `park`.
    unsafe {
        parking_lot_core::unpark_all(key, parking_lot_core::DEFAULT_UNPARK_TOKEN);
    }
}

/// A mutex that no `fork` can catch locked.
#[derive(Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

/// Access to what a [`Mutex`] protects. While one exists this thread must not call host code.
pub struct MutexGuard<'a, T> {
    // Declared first, so dropped first: the mutex is free before a fork may go on.
    inner: parking_lot::MutexGuard<'a, T>,
    _pass: fork::Pass,
}

impl<T> Mutex<T> {
    /// A mutex that protects `value`.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(parking_lot::Mutex::new(value))
    }

    /// Waits for the mutex. Sections are short and call nobody, so the wait is too.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let pass = fork::enter();
        #[cfg(windows)]
        if self.0.is_locked() && process_end::under_way() {
            process_end::held_by_the_dead();
        }
        MutexGuard { inner: self.0.lock(), _pass: pass }
    }
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

pub mod fork {
    //! The gate that keeps `fork` out while any thread is inside a mutex or a waiting queue.
    //!
    //! A child process has one thread. A mutex some other thread held at that moment would stay
    //! locked in it for ever, its contents half changed. So every section holds a [`Pass`], and the
    //! handler that runs before `fork` closes the gate and waits until no pass is out:
    //!
    //! ```text
    //! GATE = (passes out) * 2 + (1 while a fork is under way)
    //! ```
    //!
    //! A thread that already holds a pass takes further ones without looking at the gate, so a
    //! fork never waits for a thread that waits for the fork. One window stays open: a thread whose
    //! timed wait runs out takes its queue's lock inside parking_lot_core, where no pass can be
    //! held for it.

    use super::{AtomicU32, AtomicUsize, Ordering};
    use crate::this_thread;

    const FORKING: usize = 1;
    const PASS: usize = 2;

    static GATE: AtomicUsize = AtomicUsize::new(0);

    /// How many forks lie between the first process and this one.
    static GENERATION: AtomicU32 = AtomicU32::new(0);

    /// A number that is another one in the child of a fork: who reads it before and after a call of the
    /// host's knows whether it came back in another process.
    #[inline]
    pub fn generation() -> u32 {
        // Relaxed: it changes while its process has one thread.
        GENERATION.load(Ordering::Relaxed)
    }

    /// Leave to be inside a section; given back on drop, on the thread that took it.
    pub struct Pass {
        _not_send: std::marker::PhantomData<*const ()>,
    }

    /// Takes a pass, after a fork that is under way.
    #[inline]
    pub fn enter() -> Pass {
        let depth = this_thread::sections();
        if depth.get() == 0 {
            // Acquire: pairs with `after`, so a section that follows a fork sees its child's repairs.
            while GATE.fetch_add(PASS, Ordering::Acquire) & FORKING != 0 {
                GATE.fetch_sub(PASS, Ordering::Release);
                while GATE.load(Ordering::Relaxed) & FORKING != 0 {
                    std::thread::yield_now();
                }
            }
        }
        depth.set(depth.get() + 1);
        Pass { _not_send: std::marker::PhantomData }
    }

    impl Drop for Pass {
        #[inline]
        fn drop(&mut self) {
            let depth = this_thread::sections();
            depth.set(depth.get() - 1);
            if depth.get() == 0 {
                // Release: what the section wrote is whole before `before` sees the pass returned.
                GATE.fetch_sub(PASS, Ordering::Release);
            }
        }
    }

    /// Before `fork`, on the forking thread: returns once no other thread is inside a section.
    pub fn before() {
        // A signal handler that forks over a section of its own thread must not wait for it.
        let own = if this_thread::sections().get() > 0 { PASS } else { 0 };
        while GATE.fetch_or(FORKING, Ordering::Acquire) & FORKING != 0 {
            std::thread::yield_now();
        }
        while GATE.load(Ordering::Acquire) > FORKING + own {
            std::thread::yield_now();
        }
    }

    /// After `fork`, in the parent.
    pub fn after_in_parent() {
        GATE.fetch_and(!FORKING, Ordering::Release);
    }

    /// After `fork`, in the child: only this thread's own pass, if it has one, is still out.
    pub fn after_in_child() {
        let own = if this_thread::sections().get() > 0 { PASS } else { 0 };
        GATE.store(own, Ordering::Release);
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
}
