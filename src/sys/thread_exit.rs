//! Whether a thread of the library's has ended.

use std::thread::JoinHandle;

/// Whether host code has ended a thread of the library's: what unwinds is stopped at our frame.
#[cfg(unix)]
pub fn has_ended(_: &JoinHandle<()>) -> bool {
    false
}

/// Whether host code has ended a thread of the library's, where nothing unwinds and nobody notes it.
#[cfg(windows)]
pub fn has_ended(thread: &JoinHandle<()>) -> bool {
    ends_within_ms(thread, 0)
}

/// Whether a thread of the library's ends in this time.
#[cfg(windows)]
pub fn ends_within_ms(thread: &JoinHandle<()>, ms: u32) -> bool {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
    use windows_sys::Win32::System::Threading::WaitForSingleObject;
    // SAFETY: the handle is open.
    unsafe { WaitForSingleObject(thread.as_raw_handle(), ms) == WAIT_OBJECT_0 }
}
