//! The C runtime's descriptors. A library and its host may have two runtimes, each with its own.

use super::descriptor::Spot;
use super::{Handle, Refused, STDERR, is_would_block};
use libc::{c_int, c_uint, c_void};
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};

unsafe extern "C" {
    fn _get_osfhandle(fd: c_int) -> isize;
    fn _write(fd: c_int, data: *const c_void, count: c_uint) -> c_int;
    fn _close(fd: c_int) -> c_int;
    fn _errno() -> *mut c_int;
}

/// Keeps the Universal C Runtime from ending the process for a number that is no descriptor.
#[cfg(target_env = "msvc")]
fn guarded<R>(call: impl FnOnce() -> R) -> R {
    type Handler = Option<unsafe extern "C" fn(*const u16, *const u16, *const u16, c_uint, usize)>;
    unsafe extern "C" {
        fn _set_thread_local_invalid_parameter_handler(handler: Handler) -> Handler;
    }
    unsafe extern "C" fn ignore(_: *const u16, _: *const u16, _: *const u16, _: c_uint, _: usize) {}
    // SAFETY: the handler is this thread's, and put back.
    unsafe {
        let before = _set_thread_local_invalid_parameter_handler(Some(ignore));
        let result = call();
        _set_thread_local_invalid_parameter_handler(before);
        result
    }
}

#[cfg(not(target_env = "msvc"))]
fn guarded<R>(call: impl FnOnce() -> R) -> R {
    call()
}

/// The handle behind it.
pub(super) fn handle_of(fd: c_int) -> Option<Handle> {
    // SAFETY: a number that is no descriptor gives -1, or -2 for one without a handle.
    let handle = guarded(|| unsafe { _get_osfhandle(fd) });
    let handle = (handle != -2).then_some(handle as HANDLE);
    let handle = handle.filter(|handle| *handle != INVALID_HANDLE_VALUE).map(Handle);
    // A program without a console has a handle all the same, if it was given one.
    handle.or_else(|| Spot::stderr().filter(|_| fd == STDERR).map(|it| it.handle))
}

pub(super) fn write(fd: c_int, data: &[u8]) -> Result<usize, Refused> {
    let len = data.len().min(c_int::MAX as usize) as c_uint;
    // SAFETY: the data is readable for its length.
    let taken = guarded(|| unsafe { _write(fd, data.as_ptr().cast(), len) });
    usize::try_from(taken).map_err(|_| match errno() {
        error if is_would_block(error) => Refused::WouldBlock,
        error => Refused::Errno(error),
    })
}

pub(super) fn close(fd: c_int) -> c_int {
    // SAFETY: the caller's to close.
    guarded(|| unsafe { _close(fd) })
}

pub(super) fn errno() -> i32 {
    // SAFETY: this thread's own.
    unsafe { *_errno() }
}
