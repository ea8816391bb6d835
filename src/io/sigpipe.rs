//! The signals of a write that cannot be, which must not end the host.

use super::errno::{errno, set_errno};
use super::poll::is_broken;
use libc::c_int;

/// Keeps the signal of a write to a closed pipe, or beyond the largest file allowed, from ending the host: the
/// write's error says it.
pub(super) fn without_sigpipe(fd: c_int, write: impl FnOnce() -> isize) -> isize {
    // SAFETY: all sets are filled before they are read.
    unsafe {
        let mut both: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut both);
        libc::sigaddset(&mut both, libc::SIGPIPE);
        libc::sigaddset(&mut both, libc::SIGXFSZ);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &both, &mut before) != 0 {
            // The signal cannot be held back: nothing is written to a pipe that nobody reads.
            if is_broken(fd) {
                set_errno(libc::EPIPE);
                return -1;
            }
            return write();
        }
        let was_blocked = |signal| libc::sigismember(&before, signal) == 1;
        // One that waits already is the host's; only a new one is taken away. Where nobody says, it stays.
        let waited = |signal| was_blocked(signal) && is_pending(signal) != Some(false);
        let (pipe_waited, size_waited) = (waited(libc::SIGPIPE), waited(libc::SIGXFSZ));
        let wrote = write();
        let error = errno();
        let new = match error {
            libc::EPIPE if !pipe_waited => Some(libc::SIGPIPE),
            libc::EFBIG if !size_waited => Some(libc::SIGXFSZ),
            _ => None,
        };
        if let Some(signal) = new.filter(|_| wrote < 0) {
            take_away(signal);
            if is_pending(signal) == Some(true) && !was_blocked(signal) {
                // Let go now it would end the process.
                libc::sigaddset(&mut before, signal);
            }
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        set_errno(error);
        wrote
    }
}

/// Takes the signal away that waits for this thread, which holds it back.
///
/// # Safety
/// It is a signal's number.
#[cfg(not(target_vendor = "apple"))]
unsafe fn take_away(signal: c_int) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: set and time are filled. An action that ignores the signal drops it, too, where waiting for
    // signals is refused; the host's own comes back at once.
    unsafe {
        let only = set_of(signal);
        loop {
            if libc::sigtimedwait(&only, std::ptr::null_mut(), &now) >= 0 {
                return;
            }
            match errno() {
                libc::EINTR => {}
                libc::EAGAIN => return,
                _ => break,
            }
        }
        let mut ignore: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        ignore.sa_sigaction = libc::SIG_IGN;
        if libc::sigaction(signal, &ignore, &mut before) == 0 {
            libc::sigaction(signal, &before, std::ptr::null_mut());
        }
    }
}

/// As above, where signals are waited for without a time: only one that is there.
///
/// # Safety
/// As above.
#[cfg(target_vendor = "apple")]
unsafe fn take_away(signal: c_int) {
    let mut taken = 0;
    // SAFETY: the set is filled.
    unsafe {
        if is_pending(signal) == Some(true) {
            libc::sigwait(&set_of(signal), &mut taken);
        }
    }
}

fn set_of(signal: c_int) -> libc::sigset_t {
    // SAFETY: the set is filled before it is used.
    unsafe {
        let mut only: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut only);
        libc::sigaddset(&mut only, signal);
        only
    }
}

/// Whether this signal waits for this thread; `None` if the system does not say.
unsafe fn is_pending(signal: c_int) -> Option<bool> {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        let asked = libc::sigpending(&mut pending);
        (asked == 0).then(|| libc::sigismember(&pending, signal) == 1)
    }
}
