//! Which library this is.

use libc::c_char;

const fn number(text: &str) -> u32 {
    let (bytes, mut at, mut value) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    value
}

/// The version of the library that is loaded, as `major << 16 | minor << 8 | patch`.
///
/// Compare it with `RT_VERSION_NUMBER`, the version of the header the host was built with: while `major` is
/// 0, `major` and `minor` must agree; from 1 on `major` must, and the library's `minor` may be larger.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// CPython: `Py_Version`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_version() -> u32 {
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// The version of the library that is loaded, as text. Static, never NULL.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// CPython: `Py_GetVersion`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_version_string() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
