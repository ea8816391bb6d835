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
use crate::{
    runtime::Runtime,
    sync::{Deadline, Parked},
    thread::record::Owner,
    thread::this_thread::OWNERS,
};

/// Whether all threads but the calling one have been killed.
#[inline]
pub fn under_way() -> bool {
    system::under_way()
}

/// Whether the thread of this system number was killed so.
#[inline]
pub fn has_killed(tid: u32) -> bool {
    under_way() && tid != crate::thread::this_thread::current_tid()
}

/// Whether threads can begin and end. On Windows they wait for the loader's lock, which every `DllMain`
/// holds; and once all others are killed none begins.
pub(crate) fn threads_can_begin_and_end() -> bool {
    system::threads_can_begin_and_end()
}

/// For a thread that must not go on, and leaves the end of its process to another. Of a process in which all
/// others have been killed it is the last, and ends it: `because`.
pub(crate) fn sleep_indefinitely(because: &str) -> ! {
    loop {
        #[cfg(windows)]
        if under_way() {
            crate::exit::hard_exit::end_killed_process(because);
        }
        #[cfg(not(windows))]
        let _ = because;
        crate::sync::sleep(std::time::Duration::MAX);
    }
}

/// Called by the thread that is about to finalize `runtime`: what the killed ones held is nobody's, and those
/// that were terminated before are not in it.
#[cfg(windows)]
pub(crate) fn lose_the_killed(me: &Owner, runtime: &Runtime) {
    if !under_way() {
        crate::runtime::fork_child::lose_threads(runtime);
    } else {
        OWNERS.forked(Some(me), me.tid());
        crate::runtime::guards::table::forked(Some(me.id()));
        crate::runtime::registry::lose_threads(me.id());
    }
}

/// A section of the library's own has lost its thread in the middle.
#[cfg(windows)]
#[cold]
pub(crate) fn held_by_the_dead() -> ! {
    crate::exit::hard_exit::end_killed_process(
        "a thread that held a lock of the library's was killed",
    )
}

/// What a sleep comes to that nobody is left to end.
#[cfg(windows)]
#[cold]
pub(crate) fn nobody_comes(deadline: Deadline) -> Parked {
    if deadline == Deadline::NEVER {
        crate::exit::hard_exit::end_killed_process("a thread that had to be waited for was killed");
    }
    Parked::TimedOut
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
