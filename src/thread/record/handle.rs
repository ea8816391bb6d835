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
pub(super) struct Handle(AtomicPtr<c_void>);

impl Handle {
    /// No thread's.
    pub(super) fn none() -> Handle {
        Handle(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// It becomes the calling thread's. Without a handle to be had the thread is taken to live.
    pub(super) fn follow_this_thread(&self) {
        let mut handle = std::ptr::null_mut();
        // SAFETY: a second handle of the calling thread's, which `forget` closes.
        unsafe {
            let (process, thread) = (GetCurrentProcess(), GetCurrentThread());
            DuplicateHandle(process, thread, process, &mut handle, THREAD_SYNCHRONIZE, 0, 0);
        }
        self.0.store(handle, Ordering::Relaxed);
    }

    /// It is no thread's any more.
    pub(super) fn forget(&self) {
        let thread = self.0.swap(std::ptr::null_mut(), Ordering::Relaxed);
        if !thread.is_null() {
            // SAFETY: this one's own.
            unsafe { CloseHandle(thread) };
        }
    }

    /// Whether it has ended. Who hears so sees all that it wrote.
    pub(super) fn has_stopped(&self) -> bool {
        // Relaxed: set before the record was shared.
        let thread = self.0.load(Ordering::Relaxed);
        // SAFETY: the handle is open while this lives.
        !thread.is_null() && unsafe { WaitForSingleObject(thread, 0) } == WAIT_OBJECT_0
    }
}
