//! The kernel's futex: a thread sleeps on a word until another thread wakes it.
//!
//! A wake-up reads nothing at the address. So it may come after the word's memory is another's, where it
//! is one of the spurious wake-ups that every sleeper here allows for.

use super::AtomicU32;
use std::ptr::null;
use std::time::Duration;

/// Sleeps while `word` is `expected`, for `left` at most (`None`: without a bound). May return for no
/// reason.
pub fn wait(word: &AtomicU32, expected: u32, left: Option<Duration>) {
    let left = left.map(|left| libc::timespec {
        tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    let left = left.as_ref().map_or(null(), std::ptr::from_ref);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: word and time are borrowed for the length of the call.
    let waited =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, left) };
    // Where the call is refused, a sleep that ends for no reason must not be a busy one.
    let error = std::io::Error::last_os_error().raw_os_error();
    if waited != 0 && !matches!(error, Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT)) {
        super::sleep(Duration::from_millis(1));
    }
}

/// Wakes one thread that sleeps on the word at this address.
pub fn wake(word: usize) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: wakes whoever sleeps on the address, and reads nothing there.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, 1) };
}
