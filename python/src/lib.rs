//! The entry of `rtfinalize._native`, which is written in C (`native/`): a library's linker keeps only what Rust
//! exports.

use pyo3_ffi::PyObject;

// The C functions of the library, which the module calls.
extern crate rtfinalize;

unsafe extern "C" {
    fn rtfinalize_native_module() -> *mut PyObject;
}

/// Makes the module. Called by the interpreter, as it is imported.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the interpreter looks for this name")]
pub extern "C" fn PyInit__native() -> *mut PyObject {
    // SAFETY: the interpreter calls this with its lock.
    unsafe { rtfinalize_native_module() }
}
