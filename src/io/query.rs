//! A Windows handle, and what the system says of it.

use super::c_runtime;
use libc::c_int;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_SYNCHRONOUS_IO_ALERT, FILE_SYNCHRONOUS_IO_NONALERT,
    FileIoCompletionNotificationInformation, FileModeInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;

/// An open handle of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub HANDLE);

// SAFETY: a handle belongs to the process; any thread may use it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// The handle behind a descriptor of the C runtime that this library is linked to.
    pub(crate) fn of_descriptor(fd: c_int) -> Option<Handle> {
        c_runtime::handle_of(fd)
    }

    /// Whether calls on it wait for their end; `None` if it does not say.
    pub(crate) fn is_synchronous(self) -> Option<bool> {
        let (mut mode, waits) = (0, FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT);
        ask(self, FileModeInformation, &mut mode).ok().map(|()| mode & waits != 0)
    }

    /// Whether the system tells its completion port only of what has not succeeded at once
    /// (`SetFileCompletionNotificationModes`).
    pub(crate) fn skips_packets(self) -> bool {
        let mut modes = 0u32;
        ask(self, FileIoCompletionNotificationInformation, &mut modes).is_ok()
            && modes & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS != 0
    }
}

/// What a handle is asked for: plain numbers.
pub(super) trait Plain {}
impl Plain for u32 {}

/// Asks for it; what it fails with is an `NTSTATUS`.
pub(super) fn ask<T: Plain>(
    handle: Handle,
    class: i32,
    answer: &mut T,
) -> std::result::Result<(), i32> {
    let mut status = IO_STATUS_BLOCK::default();
    let size = size_of::<T>() as u32;
    // SAFETY: the answer has this size and takes any bytes; a handle that is none is refused.
    let status = unsafe {
        let answer = std::ptr::from_mut(answer).cast();
        NtQueryInformationFile(handle.0, &mut status, answer, size, class)
    };
    if status >= 0 { Ok(()) } else { Err(status) }
}
