//! Tracked objects.

use super::boundary::{boundary, give, text};
use super::runtime::{rt_runtime, runtime_of};
use super::{rt_callback, rt_status};
use crate::status::Status;
use crate::thread::host_call::ObjectCalls;
use libc::{c_char, c_void};

/// A tracked object, as its runtime knows it. Never 0; one that is no longer tracked is rejected.
pub type rt_object = u64;

/// Tracks a native object: the runtime's finalization finalizes it, and later deallocates it.
///
/// In the phase `finalize`, after the handlers with a negative order, `finalize` is called for every
/// object: everything of the runtime still works there, so this is the place to write, to take locks,
/// to let go of other objects. Only when all have had their turn, in the phase `dealloc`, `dealloc` is
/// called for each: it frees C data, and may not call the library (`RT_ERR_IN_DEALLOC` lists what it may
/// call). Both take `arg`; either may be NULL. A negative answer is a failure that the report names; the
/// object goes its way all the same.
///
/// The last that was tracked goes first, unless `rt_object_depend` says otherwise. Objects are
/// deallocated in the order in which they were finalized. One that is tracked from inside a `finalize`,
/// or by a handler of that phase, is finalized too (a chain of such ends after a million). If `finalize`
/// returns `RT_RESURRECTED`, something refers to the object still: it is not deallocated, nor is what it
/// depends on; it is not tracked any more, and the report names it. If a thread still runs inside after
/// the freeze, no object is deallocated: all stand in the report's ledger.
///
/// `name` (NULL for `object`) is copied, once for all objects of that name; give it to a kind of object
/// and not to each. `arg` stays the host's. `*object` (`object` may be NULL) gets the handle. An object
/// costs less than 48 bytes of the library's memory.
///
/// Thread: any. Stage: until the phase `finalize` ends; from inside a callback too.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL` (neither callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`,
/// `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING`.
///
/// CPython: `tp_finalize` and `tp_dealloc` (PEP 442); Cython's `__del__` and `__dealloc__`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_object_track(
    runtime: *mut rt_runtime,
    name: *const c_char,
    finalize: rt_callback,
    dealloc: rt_callback,
    arg: *mut c_void,
    object: *mut rt_object,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header, the callbacks of a tracked object may be called with its argument
        // from any thread until it is gone.
        let calls = unsafe { ObjectCalls::from_c(finalize, dealloc, arg) };
        if calls.is_empty() {
            return Err(Status::Null.because("neither finalize nor dealloc"));
        }
        let name = text(name)?.unwrap_or("object");
        let tracked = runtime_of(runtime)?.track(name, calls)?;
        if !object.is_null() {
            give(object, tracked)?;
        }
        Ok(Status::Ok)
    })
}

/// Says that `object` depends on `on`: `object` is finalized, and deallocated, before `on`, whichever
/// was tracked first. Saying so twice is saying so once.
///
/// Without it the order is last in, first out; so only an object that depends on a younger one needs
/// this. Several that wait for the same one keep to last in, first out among themselves, as far as their
/// slots in the library's memory tell.
///
/// Thread: any. Stage: until either is finalized; from inside a callback too. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_CYCLE` if `on` depends on `object` already, itself or over others: nothing
/// was changed, and the last error's text prints the cycle by the objects' names; `RT_ERR_STATE` if one
/// of them is finalized already; `RT_ERR_HANDLE`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none; the order of module teardown, where it is known, is an accident of import.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_object_depend(
    runtime: *mut rt_runtime,
    object: rt_object,
    on: rt_object,
) -> rt_status {
    boundary(|| runtime_of(runtime)?.depend(object, on).map(|()| Status::Ok))
}

/// Stops tracking an object, which is not called any more and stays the host's, with its
/// dependencies forgotten.
///
/// An object may be untracked from inside its own `finalize`: it is not deallocated then. A `finalize`
/// that runs at this moment on another thread is not stopped by it.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE` if it is not tracked any more: it was untracked, disposed of or
/// deallocated before, or belongs to another runtime or a former life.
///
/// CPython: `PyObject_GC_UnTrack`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_object_untrack(
    runtime: *mut rt_runtime,
    object: rt_object,
) -> rt_status {
    boundary(|| runtime_of(runtime)?.untrack(object).map(|()| Status::Ok))
}

/// Finalizes and deallocates an object now, on the calling thread; what was done already is not done
/// again.
///
/// Thread: any; once the runtime is frozen, only the finalizing one. Stage: any; from inside another
/// object's `finalize` too. Signal handler: limited.
///
/// Returns `RT_OK`: it is gone; `RT_RESURRECTED` if its `finalize` returned that: it stays tracked, as
/// the youngest, and will be finalized again; `RT_LEAKED` if it was finalized and then kept, for a
/// resurrected object depends on it; `RT_ERR_CALLBACK` if one of its callbacks failed: it is gone all
/// the same; `RT_ERR_STATE` if another object depends on it, or if it is being finalized at this moment;
/// `RT_ERR_HANDLE` as `rt_object_untrack`; `RT_ERR_FINALIZING`.
///
/// CPython: `Py_DECREF` of the last reference.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_object_dispose(
    runtime: *mut rt_runtime,
    object: rt_object,
) -> rt_status {
    boundary(|| runtime_of(runtime)?.dispose(object))
}
