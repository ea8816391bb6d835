//! At-exit callbacks, exit functions, pending calls.

use super::boundary::{boundary, give, text};
use super::runtime::{rt_runtime, runtime_of};
use super::{rt_callback, rt_status};
use crate::runtime::Runtime;
use crate::status::{Result, Status};
use crate::sync::Arc;
use crate::thread::host_call::HostCall;
use libc::{c_char, c_void};

/// A callback from C.
pub(super) fn call_of(callback: rt_callback, arg: *mut c_void) -> Result<HostCall> {
    let function = callback.ok_or_else(|| Status::Null.because("no callback"))?;
    // SAFETY: by the header, a registered callback may be called with its argument from any thread
    // until it ran or was unregistered.
    Ok(unsafe { HostCall::from_c(function, arg) })
}

fn register(
    runtime: *mut rt_runtime,
    name: *const c_char,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
    add: impl FnOnce(&Arc<Runtime>, &str, HostCall) -> Result<u64>,
) -> rt_status {
    boundary(|| {
        let call = call_of(callback, arg)?;
        let name = text(name)?.unwrap_or("");
        let registered = add(&runtime_of(runtime)?, name, call)?;
        if !id.is_null() {
            give(id, registered)?;
        }
        Ok(Status::Ok)
    })
}

/// Registers a callback for the `atexit` phase: last in, first out.
///
/// One that is registered while the callbacks run is run too, next. One that fails is counted, and
/// the rest still run. There is no limit on their number. `name` (may be NULL) is copied, for the
/// report; `arg` stays the host's. `*id` (`id` may be NULL) is for `rt_unregister`.
///
/// Thread: any. Stage: until the runtime freezes; from inside a callback too. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`,
/// `RT_ERR_FINALIZING`.
///
/// CPython: `atexit.register`, `PyUnstable_AtExit`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_atexit(
    runtime: *mut rt_runtime,
    name: *const c_char,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
) -> rt_status {
    register(runtime, name, callback, arg, id, |runtime, name, call| runtime.at_exit(name, call))
}

/// Unregisters every at-exit callback that calls `callback`, and, unless `arg` is NULL, has this
/// `arg`. Stores how many there were in `*removed` (may be NULL).
///
/// Thread: any. Stage: any; from inside a callback too, which is not stopped by unregistering it.
/// Signal handler: limited.
///
/// Returns `RT_OK`, also if there was none; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`.
///
/// CPython: `atexit.unregister`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_atexit_unregister(
    runtime: *mut rt_runtime,
    callback: rt_callback,
    arg: *mut c_void,
    removed: *mut usize,
) -> rt_status {
    boundary(|| {
        let function = callback.ok_or_else(|| Status::Null.because("no callback"))?;
        let arg = (!arg.is_null()).then_some(arg);
        let count = runtime_of(runtime)?.unregister_function(function, arg);
        if !removed.is_null() {
            give(removed, count)?;
        }
        Ok(Status::Ok)
    })
}

/// Registers a low-level exit function: the last phase runs them, last in first out, when nothing of
/// the runtime works any more. There is no limit on their number.
///
/// Arguments as for `rt_atexit`.
///
/// Thread: any. Stage: until the last of them has run; from inside an exit function too.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`,
/// `RT_ERR_FINALIZING`.
///
/// CPython: `Py_AtExit`, without its limit of 32.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_exit_function(
    runtime: *mut rt_runtime,
    name: *const c_char,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
) -> rt_status {
    register(runtime, name, callback, arg, id, |runtime, name, call| runtime.on_exit(name, call))
}

/// Asks for a call to be made by the thread that runs pending calls, or by the finalizing one.
///
/// Arguments as for `rt_atexit`. First in, first out.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`,
/// `RT_ERR_FINALIZING`.
///
/// CPython: `Py_AddPendingCall`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_pending_add(
    runtime: *mut rt_runtime,
    name: *const c_char,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
) -> rt_status {
    register(runtime, name, callback, arg, id, |runtime, name, call| {
        runtime.add_pending(name, call)
    })
}

/// Makes the pending calls that are there now, on the calling thread, and stores how many in `*made`
/// (may be NULL). A failed one is counted by the next finalization's report.
///
/// Thread: any. Stage: any; once the runtime is frozen there are none left. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`; `RT_ERR_CALLBACK` if one failed, the rest were made.
///
/// CPython: `Py_MakePendingCalls`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_pending_run(
    runtime: *mut rt_runtime,
    made: *mut usize,
) -> rt_status {
    boundary(|| {
        let runtime = runtime_of(runtime)?;
        let mut failed = None;
        let count = runtime.run_pending(|entry| {
            let outcome = entry.call.call_for(&runtime);
            if outcome.failed() {
                runtime.note_failure(&entry.name, outcome.text());
                failed = Some(format!("pending call '{}' {}", entry.name, outcome.text()));
            }
        });
        if !made.is_null() {
            give(made, usize::try_from(count).unwrap_or(usize::MAX))?;
        }
        failed.map_or(Ok(Status::Ok), |text| Err(Status::Callback.because(text)))
    })
}

/// Unregisters what has this `id` in the runtime: an at-exit callback, an exit function, a pending
/// call or a handler. It is not called any more, unless it is being called at this moment.
///
/// Thread: any. Stage: any; from inside a callback too. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_FOUND` if it ran, or was removed, already; `RT_ERR_HANDLE`.
///
/// CPython: `atexit.unregister`, for one registration.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_unregister(runtime: *mut rt_runtime, id: u64) -> rt_status {
    boundary(|| {
        runtime_of(runtime)?.unregister(id)?;
        Ok(Status::Ok)
    })
}
