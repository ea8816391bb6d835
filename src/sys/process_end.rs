//! Whether this process has begun to end, and with it every thread but one.
//!
//! Windows' `ExitProcess` first kills all other threads, wherever they are, and then tells every
//! library. What runs from then on (`DllMain`, destructors of static objects) may still call this
//! library. Nobody will let go of a lock any more, so none is waited for: a lock of the host's has an
//! owner that will never run, and is taken over. A lock of the library's own protects data that may be
//! half changed: whoever needs it ends the process at once, with what the writers hold written first.
//!
//! On Unix `exit` leaves the other threads alive, until they end with the process.

#[cfg(windows)]
use std::sync::OnceLock;

/// Whether all threads but the calling one have been killed.
#[inline]
pub fn under_way() -> bool {
    system::under_way()
}

/// Whether the thread of this system number was killed so.
#[inline]
pub fn has_killed(tid: u32) -> bool {
    under_way() && tid != super::cell::current_tid()
}

/// Whether threads can begin and end. On Windows they wait for the loader's lock, which every `DllMain`
/// holds; and once all others are killed none begins.
pub(crate) fn threads_can_begin_and_end() -> bool {
    system::threads_can_begin_and_end()
}

/// How the process ends that has lost its other threads; the reason is the argument.
#[cfg(windows)]
static END: OnceLock<fn(&str) -> !> = OnceLock::new();

/// Has [`end`] end the process so. Called as the library is loaded.
#[cfg(windows)]
pub(crate) fn end_by(end: fn(&str) -> !) {
    let _ = END.set(end);
}

/// Ends the process, of which the calling thread is the last: `because`.
#[cfg(windows)]
#[cold]
pub(crate) fn end(because: &str) -> ! {
    match END.get() {
        Some(end) => end(because),
        None => std::process::abort(),
    }
}

#[cfg(windows)]
mod system {
    #[link(name = "ntdll")]
    unsafe extern "system" {
        fn RtlDllShutdownInProgress() -> u8;
    }

    pub fn under_way() -> bool {
        // SAFETY: no arguments, no effects.
        unsafe { RtlDllShutdownInProgress() != 0 }
    }

    pub fn threads_can_begin_and_end() -> bool {
        unsafe extern "C" {
            fn rtfinalize_is_in_loader() -> i32;
        }
        // SAFETY: as above.
        !under_way() && unsafe { rtfinalize_is_in_loader() == 0 }
    }
}

#[cfg(not(windows))]
mod system {
    pub fn under_way() -> bool {
        false
    }

    pub fn threads_can_begin_and_end() -> bool {
        true
    }
}
