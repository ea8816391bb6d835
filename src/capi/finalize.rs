//! Finalization.

use super::boundary::{boundary, give, versioned};
use super::options::{OPTIONS_FIRST_VERSION, merged, rt_finalize_options};
use super::report::{ReportObject, rt_report};
use super::rt_status;
use super::runtime::{rt_runtime, runtime_of};
use crate::finalize::preparations::{make_sure, until};
use crate::finalize::{Finalized, finalize, finalize_with};
use crate::runtime::Runtime;
use crate::status::{Result, Status};
use crate::sync::Arc;
use crate::sys::memory::with_reserve;
use libc::c_int;

/// Finalizes the default runtime, from the calling thread: runs all phases in their order.
///
/// Waits for guards and non-daemon threads as long as they take (`rt_runtime_set_options` sets a
/// deadline), and for a destination without room, as stdio does; from the freeze on every wait for a
/// lock or a thread is bounded. A second thread that calls it meanwhile waits for the first, at
/// most 10 s, and gets its result. With `RTFINALIZE_REPORT=text|json|trace|html[:PATH]` in the environment
/// the report is written to stderr or PATH (`rt_runtime_set_text`); one that cannot be written costs a line
/// on stderr.
///
/// Thread: any, attached or not; inside a callback as for `rt_finalize`. Stage: any.
/// Signal handler: limited.
///
/// Returns 0; again, 0 with nothing done; -1 if data could not be flushed, a phase failed, a deadline
/// passed or the call was refused: `rt_last_error` says which.
///
/// CPython: `Py_FinalizeEx`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_finalize_ex() -> c_int {
    let status = boundary(|| {
        let runtime = Runtime::try_main()?;
        with_reserve(|| verdict(&finalize(&made_sure(runtime, 0, 0)?)?))
    });
    if status < 0 { -1 } else { 0 }
}

/// Finalizes a runtime, from the calling thread, with options and a report.
///
/// `options` may be NULL; where it, or a field of it, says nothing the runtime's own hold
/// (`rt_runtime_set_options`). `report` may be NULL; else `*report` is set to the account of
/// the finalization whenever there is one, also with `RT_ERR_INCOMPLETE`, and to NULL otherwise: so also
/// where there is no memory for it. The report is the host's: free it with `rt_report_free`.
///
/// Memory for a finalization is set aside when a runtime begins, and what is registered may need more. If that
/// is not to be had the answer is `RT_ERR_NO_MEMORY`: every writer was written out as far as that goes without
/// memory, until the grace or the deadline, and nothing else was done. The last error's text says whether all bytes
/// are written. Free some memory and call again, or end the process. So it is with `RT_OVERRUN_EXIT` if there is no
/// memory for the thread that would end the process at its deadline. Where memory becomes short later the bytes are
/// written first, and what could not be noted is counted (`unnoted`).
///
/// Inside a callback it depends on whose that is. The runtime whose callback (or handler, or
/// `delete_state`) it is, and that runtime's ancestors, are refused with `RT_ERR_IN_CALLBACK`: their
/// finalization would enter again what the thread is in the middle of, or wait for it. Any other
/// runtime can be finalized there, so also the children of the callback's own; it then has no more time
/// than the finalization whose callback that is. Inside a callback of a
/// writer or of an in-flight operation every runtime is refused; and in a signal handler over a
/// thread that finalizes, the runtime it finalizes, and that one's ancestors.
///
/// Thread: any, attached or not. Stage: any. A second thread waits for
/// the first and gets its result (if it is inside the runtime, it is outside afterwards); after
/// finalization the call does nothing and gives the report again. Signal handler: limited.
///
/// In the child of a `fork`, what a thread that was not copied had begun is over. A runtime it was about to
/// finalize runs again, and this call begins anew; one that was frozen already is finalized, and the
/// first call says so: `RT_ERR_INCOMPLETE`, with a report that names the phase. A callback of this
/// finalization may fork: both processes go on with it, each on its own copy.
///
/// Returns `RT_OK`; `RT_UNREPORTED` if everything was done, but the report could not be written to where
/// `RTFINALIZE_REPORT` has it; `RT_ERR_INCOMPLETE` if data could not be flushed, a phase failed or a deadline
/// passed (the runtime is finalized, and the report says what happened); `RT_ERR_IN_CALLBACK`; `RT_ERR_TIMEOUT`
/// if the other thread did not end in time; `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_INVALID`
/// (an option), `RT_ERR_NO_MEMORY` (nothing but the bytes was seen to), `RT_ERR_THREAD_EXITING`.
///
/// CPython: `Py_FinalizeEx`, `Py_EndInterpreter`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_finalize(
    runtime: *mut rt_runtime,
    options: *const rt_finalize_options,
    report: *mut *mut rt_report,
) -> rt_status {
    boundary(|| {
        if !report.is_null() {
            give(report, std::ptr::null_mut())?;
        }
        let runtime = runtime_of(runtime)?;
        with_reserve(|| {
            let done = if options.is_null() {
                finalize(&made_sure(runtime, 0, 0)?)?
            } else {
                // SAFETY: by the header; every field is an integer or a pointer.
                let given = unsafe { versioned(options, OPTIONS_FIRST_VERSION)? };
                let runtime = made_sure(runtime, given.grace_us, given.deadline_us)?;
                finalize_with(&runtime, merged(runtime.options(), &given)?)?
            };
            // If there is no memory for its handle there is no report; the status still says how it ended.
            if !report.is_null()
                && let Ok(handle) = ReportObject::handle(done.report().clone())
            {
                give(report, std::ptr::without_provenance_mut(handle))?;
            }
            verdict(&done)
        })
    })
}

/// The runtime, if there is memory for its finalization: before its options are copied. Zero is what they say.
fn made_sure(runtime: Arc<Runtime>, grace_us: i64, deadline_us: i64) -> Result<Arc<Runtime>> {
    let until = {
        let own = runtime.options.lock();
        let chosen = |given: i64, own: i64| if given == 0 { own } else { given };
        until(chosen(grace_us, own.grace_us), chosen(deadline_us, own.deadline_us))
    };
    make_sure(&runtime, until)?;
    Ok(runtime)
}

fn verdict(done: &Finalized) -> Result<Status> {
    let report = match done {
        // What was wrong has been said.
        Finalized::Before(_) => return Ok(Status::Ok),
        done => done.report(),
    };
    match report.status {
        Status::Ok if !report.unreported.is_empty() => Ok(Status::Unreported),
        Status::Ok => Ok(Status::Ok),
        status if crate::sys::memory::spare(report.runtime.len()).is_err() => Err(status.error()),
        status => Err(status.because(report.headline())),
    }
}
