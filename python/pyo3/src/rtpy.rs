//! The C side: `rtfinalize_python.h`, and `native/inside.c`.

use pyo3::ffi::{PyGILState_STATE, PyStatus, PyThreadState};
use rtfinalize::capi::options::rt_finalize_options;
use rtfinalize::capi::report::rt_report;
use std::ffi::{c_char, c_int, c_uint, c_void};

/// A thread's stay in Python.
#[repr(C)]
pub struct rtpy_guard {
    rt_guard: *mut c_void,
    rt_state: PyGILState_STATE,
    rt_life: c_uint,
}

impl rtpy_guard {
    /// One that `rtpy_ensure` fills.
    pub const fn new() -> rtpy_guard {
        rtpy_guard {
            rt_guard: std::ptr::null_mut(),
            rt_state: PyGILState_STATE::PyGILState_UNLOCKED,
            rt_life: 0,
        }
    }
}

unsafe extern "C-unwind" {
    pub fn rtpy_start(config: *const c_void) -> PyStatus;
    pub fn rtpy_ensure(name: *const c_char, guard: *mut rtpy_guard) -> i32;
    pub fn rtpy_release(guard: *mut rtpy_guard);
    pub fn rtpy_finalize(options: *const rt_finalize_options, report: *mut *mut rt_report) -> i32;
    pub fn rtfinalize_pyo3_main_state() -> *mut PyThreadState;
    pub fn rtfinalize_pyo3_is_inside(main_state: *const PyThreadState) -> c_int;
}
