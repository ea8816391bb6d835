//! Whether a thread still exists, by the system's word.
//!
//! On Windows a thread can end with no hook called: `TerminateThread`, and `ExitProcess` before the first
//! `DllMain` hears of it. What it was the owner of would be waited for without an end.

use crate::sync::{AtomicPtr, Ordering};
use libc::c_void;
use windows_sys::Win32::Foundation::{CloseHandle, DuplicateHandle, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, THREAD_SYNCHRONIZE, WaitForSingleObject,
};

/// A thread, as the system knows it.
pub(super) struct Pulse(AtomicPtr<c_void>);

impl Pulse {
    /// The calling thread's. Without a handle to be had the thread is taken to live.
    pub(super) fn of_this_thread() -> Pulse {
        let mut handle = std::ptr::null_mut();
        // SAFETY: a second handle of the calling thread's, which `drop` closes.
        unsafe {
            let (process, thread) = (GetCurrentProcess(), GetCurrentThread());
            DuplicateHandle(process, thread, process, &mut handle, THREAD_SYNCHRONIZE, 0, 0);
        }
        Pulse(AtomicPtr::new(handle))
    }

    /// Whether it has ended. Who hears so sees all that it wrote.
    pub(super) fn has_stopped(&self) -> bool {
        // Relaxed: set once, before the owner was shared.
        let thread = self.0.load(Ordering::Relaxed);
        // SAFETY: the handle is open while this lives.
        !thread.is_null() && unsafe { WaitForSingleObject(thread, 0) } == WAIT_OBJECT_0
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let thread = self.0.load(Ordering::Relaxed);
        if !thread.is_null() {
            // SAFETY: this one's own.
            unsafe { CloseHandle(thread) };
        }
    }
}
