//! The door as the library ships it: std's atomics, parking_lot's mutex, and the clock.

use super::fork;
#[cfg(windows)]
use crate::sys::process_end;
use std::time::{Duration, Instant};

pub use parking_lot_core::SpinWait;
pub use std::sync::Arc;
pub use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// No step is left out in the real library; the compiler drops the branches that ask.
#[inline(always)]
pub const fn mutated(_: super::Mutation) -> bool {
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

/// Sleeps, where there is no event to wait for; also where the call for it is refused, by which std's
/// panics. The thread cannot be cancelled here, as it can in the C library's sleep.
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
        let rest = std::ptr::null_mut::<libc::timespec>();
        // SAFETY: the time is filled; nothing else is read or written.
        let slept = unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, rest) } == 0;
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

/// For a thread that must not go on, and leaves the end of its process to another. Of a process in which all
/// others have been killed it is the last, and ends it: `because`.
pub fn sleep_indefinitely(because: &str) -> ! {
    loop {
        #[cfg(windows)]
        if process_end::under_way() {
            process_end::end(because);
        }
        #[cfg(not(windows))]
        let _ = because;
        sleep(Duration::MAX);
    }
}

/// A point in time, or never.
///
/// Built from the C side's microseconds: a negative number means no deadline, and so does one too far
/// ahead for the clock to represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Never passes.
    pub const NEVER: Deadline = Deadline(None);

    /// `us` microseconds from now; negative means never.
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

    /// Time left: zero once passed, `None` without a deadline.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(now()))
    }

    /// What [`Deadline::after_us`] takes to come to the same point in time.
    pub fn left_us(self) -> i64 {
        self.left().map_or(-1, |left| i64::try_from(left.as_micros()).unwrap_or(i64::MAX))
    }

    /// The instant itself, `None` without a deadline.
    pub fn instant(self) -> Option<Instant> {
        self.0
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
        MutexGuard { inner: self.0.try_lock().unwrap_or_else(|| self.lock_held()), _pass: pass }
    }

    /// Asks again and again, at last with sleeps in between, which let a holder of lower priority run.
    ///
    /// It does not sleep in parking_lot's queue: that has a record for each thread, which is made with
    /// memory from the heap, and a signal handler may have interrupted the heap.
    #[cold]
    fn lock_held(&self) -> parking_lot::MutexGuard<'_, T> {
        let mut spin = SpinWait::new();
        loop {
            #[cfg(windows)]
            if process_end::under_way() {
                process_end::end("a thread that held a lock of the library's was killed");
            }
            if !spin.spin() {
                sleep(Duration::from_micros(20));
            }
            if let Some(locked) = self.0.try_lock() {
                return locked;
            }
        }
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
