//! What the C library's `errno` says.

/// What the system says of an `errno`.
pub(super) fn errno_text(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

pub(super) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

pub(super) fn set_errno(error: i32) {
    #[cfg(target_os = "linux")]
    // SAFETY: the thread's own errno.
    unsafe {
        *libc::__errno_location() = error
    };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the thread's own errno.
    unsafe {
        *libc::__error() = error
    };
}
