//! Which signals a thread takes.

/// From here on no signal handler and no cancellation runs on the calling thread.
#[cfg(unix)]
pub fn seal_thread() {
    block(&all_but(&[]));
}

/// The same for a thread of the library's that calls host code: what a fault of its own raises is
/// handled as on any thread. Blocked, it would end the process past the host's handlers.
#[cfg(unix)]
pub fn seal_own_thread() {
    block(&all_but_faults());
}

/// The signals that a thread of the library's does not take.
#[cfg(unix)]
pub fn all_but_faults() -> libc::sigset_t {
    all_but(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP])
}

#[cfg(unix)]
fn all_but(faults: &[libc::c_int]) -> libc::sigset_t {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `all` is filled before it is read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in faults {
            libc::sigdelset(all.as_mut_ptr(), *fault);
        }
        all.assume_init()
    }
}

#[cfg(unix)]
fn block(signals: &libc::sigset_t) {
    std::mem::forget(super::cancellation::Shield::up());
    // SAFETY: reads the set.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, signals, std::ptr::null_mut());
    }
}

#[cfg(not(unix))]
pub fn seal_thread() {}
#[cfg(not(unix))]
pub fn seal_own_thread() {}
