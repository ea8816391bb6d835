//! What a report lists beside bytes and leaks: refused calls, and handlers that were not run to
//! their end.

use super::boundary::{boundary_in_dealloc_too, give_versioned};
use super::report::{report_of, rt_report};
use super::rt_status;
use crate::report::Continuation;
use crate::status::Status;
use libc::c_char;

/// Calls of one kind that came from inside the dealloc of objects of one name, and were refused.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_report_violation {
    /// `sizeof(rt_report_violation)`.
    pub struct_size: usize,
    /// The objects' name; lives as long as the report.
    pub object: *const c_char,
    /// The function they called, `rt_writer_write`; lives as long as the report.
    pub call: *const c_char,
    /// How often.
    pub count: u64,
}

const VIOLATION_FIRST_VERSION: usize = size_of::<rt_report_violation>();

/// It was left out: the time of its phase was out (`RT_WORK_SKIP`).
pub const RT_LEFT_SKIPPED: u32 = 1;
/// It was not waited for (`RT_WORK_CONTINUE`), and has ended.
pub const RT_LEFT_ENDED: u32 = 2;
/// It was not waited for, and has failed.
pub const RT_LEFT_FAILED: u32 = 3;
/// It was not waited for, and still ran when the finalization ended.
pub const RT_LEFT_RUNNING: u32 = 4;
/// It was not to be waited for, but there was no thread for it.
pub const RT_LEFT_NOT_STARTED: u32 = 5;

/// A handler that finalization left out, or did not wait for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_report_left {
    /// `sizeof(rt_report_left)`.
    pub struct_size: usize,
    /// Its phase, one of `RT_PHASE_*`.
    pub phase: u32,
    /// What became of it by the end of the finalization, one of `RT_LEFT_*`.
    pub state: u32,
    /// Its name; lives as long as the report.
    pub name: *const c_char,
    /// How it ended, `returned -1`, or why it was not started; may be empty. Lives as long as the
    /// report.
    pub how: *const c_char,
    /// How long it took, or has run so far, in microseconds; 0 if it did not begin.
    pub us: u64,
}

const LEFT_FIRST_VERSION: usize = size_of::<rt_report_left>();

/// Fills `*violation` with number `index`, from 0, of the kinds of calls that were refused for coming
/// from inside a dealloc callback. Set `violation->struct_size` before the call.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
/// `RT_ERR_STRUCT_SIZE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_get_violation(
    report: *const rt_report,
    index: usize,
    violation: *mut rt_report_violation,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let entry = object.report.violations.get(index);
        let entry = entry.ok_or_else(|| Status::NotFound.because("no such violation"))?;
        let (name, call) = &object.violations[index];
        let value = rt_report_violation {
            struct_size: 0,
            object: name.as_ptr(),
            call: call.as_ptr(),
            count: entry.count,
        };
        // SAFETY: by the header.
        unsafe { give_versioned(violation, value, VIOLATION_FIRST_VERSION)? };
        Ok(Status::Ok)
    })
}

/// Fills `*left` with number `index`, from 0, of the handlers that finalization left out, and then of
/// those it did not wait for. Set `left->struct_size` before the call.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
/// `RT_ERR_STRUCT_SIZE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_get_left(
    report: *const rt_report,
    index: usize,
    left: *mut rt_report_left,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let (name, how) =
            object.left.get(index).ok_or_else(|| Status::NotFound.because("no such handler"))?;
        let (skipped, continued) = (&object.report.skipped, &object.report.continued);
        let (phase, state, us) = match skipped.get(index) {
            Some(skipped) => (skipped.phase, RT_LEFT_SKIPPED, 0),
            None => {
                let entry = &continued[index - skipped.len()];
                (entry.phase, state_of(entry.state), entry.us)
            }
        };
        let value = rt_report_left {
            struct_size: 0,
            phase: phase as u32,
            state,
            name: name.as_ptr(),
            how: how.as_ptr(),
            us,
        };
        // SAFETY: by the header.
        unsafe { give_versioned(left, value, LEFT_FIRST_VERSION)? };
        Ok(Status::Ok)
    })
}

fn state_of(state: Continuation) -> u32 {
    match state {
        Continuation::Ended => RT_LEFT_ENDED,
        Continuation::Failed => RT_LEFT_FAILED,
        Continuation::Running => RT_LEFT_RUNNING,
        Continuation::NotStarted => RT_LEFT_NOT_STARTED,
    }
}
