//! The signal of a write that nobody reads, which must not end the host.

use super::descriptor::{errno, is_broken, set_errno};
use libc::c_int;

/// Keeps the signal of a write to a closed pipe from ending the host: the write's error says it.
pub(super) fn without_sigpipe(fd: c_int, write: impl FnOnce() -> isize) -> isize {
    // SAFETY: all sets are filled before they are read.
    unsafe {
        let mut pipe: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before) != 0 {
            // The signal cannot be held back: nothing is written to a pipe that nobody reads.
            if is_broken(fd) {
                set_errno(libc::EPIPE);
                return -1;
            }
            return write();
        }
        let was_blocked = libc::sigismember(&before, libc::SIGPIPE) == 1;
        // One that waits already is the host's; only a new one is taken away. Where nobody says, it stays.
        let was_pending = was_blocked && is_pending() != Some(false);
        let wrote = write();
        let error = errno();
        if wrote < 0 && error == libc::EPIPE && !was_pending {
            take_away(&pipe);
            if is_pending() == Some(true) && !was_blocked {
                // Let go now it would end the process.
                libc::sigaddset(&mut before, libc::SIGPIPE);
            }
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        set_errno(error);
        wrote
    }
}

/// Takes the SIGPIPE away that waits for this thread, which holds it back.
///
/// # Safety
/// `pipe` is the set of that signal.
#[cfg(not(target_vendor = "apple"))]
unsafe fn take_away(pipe: &libc::sigset_t) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: set and time are filled. An action that ignores the signal drops it, too, where waiting for
    // signals is refused; the host's own comes back at once.
    unsafe {
        loop {
            if libc::sigtimedwait(pipe, std::ptr::null_mut(), &now) >= 0 {
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
        if libc::sigaction(libc::SIGPIPE, &ignore, &mut before) == 0 {
            libc::sigaction(libc::SIGPIPE, &before, std::ptr::null_mut());
        }
    }
}

/// As above, where signals are waited for without a time: only one that is there.
///
/// # Safety
/// As above.
#[cfg(target_vendor = "apple")]
unsafe fn take_away(pipe: &libc::sigset_t) {
    let mut taken = 0;
    if unsafe { is_pending() } == Some(true) {
        // SAFETY: the set is filled.
        unsafe { libc::sigwait(pipe, &mut taken) };
    }
}

/// Whether a SIGPIPE waits for this thread; `None` if the system does not say.
unsafe fn is_pending() -> Option<bool> {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        let asked = libc::sigpending(&mut pending);
        (asked == 0).then(|| libc::sigismember(&pending, libc::SIGPIPE) == 1)
    }
}
