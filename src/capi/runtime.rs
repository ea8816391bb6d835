//! Runtimes and their finalization.

use super::boundary::{boundary, give, text, versioned};
use super::handle::{Pinned, Table};
use super::rt_status;
use crate::runtime::lifecycle::State;
use crate::runtime::registry::rt_finalizing_flag;
use crate::runtime::{Runtime, RuntimeOptions};
use crate::status::{Result, Status};
use crate::sync::{Arc, Mutex, Ordering};
use libc::{c_char, c_int};

/// A runtime. NULL stands for the process's default runtime wherever one is taken.
pub enum rt_runtime {}

/// The place of a runtime: its present life is in it.
pub(super) struct RuntimeObject {
    life: Mutex<Arc<Runtime>>,
}

static RUNTIMES: Table<RuntimeObject> = Table::new(0x1c80_317f);

/// The runtime of a handle, in its present life.
pub(super) fn runtime_of(handle: *mut rt_runtime) -> Result<Arc<Runtime>> {
    if handle.is_null() {
        return Runtime::try_main();
    }
    let object = RUNTIMES.pin(handle.addr())?;
    let life = object.life.lock().clone();
    Ok(life)
}

/// The runtime runs: everything is allowed.
pub const RT_STATE_RUNNING: i32 = 0;
/// Finalization has begun; threads still run, attach and register.
pub const RT_STATE_PRE_FINALIZING: i32 = 1;
/// The point of no return is passed: only the finalizing thread gets in.
pub const RT_STATE_FINALIZING: i32 = 2;
/// Finalized.
pub const RT_STATE_FINALIZED: i32 = 3;

/// Makes a runtime that runs, beside the default one, and stores its handle in `*runtime`.
///
/// `name` is copied; NULL is a name of its own. The handle is the host's: finalize the runtime, then
/// free it with `rt_runtime_free`.
///
/// Thread: any. Stage: any; whether other runtimes finalize does not matter. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
///
/// CPython: `Py_NewInterpreterFromConfig`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_runtime_new(
    name: *const c_char,
    runtime: *mut *mut rt_runtime,
) -> rt_status {
    boundary(|| {
        if runtime.is_null() {
            return Err(Status::Null.error());
        }
        let life = Runtime::new(text(name)?.unwrap_or("unnamed"));
        let handle = RUNTIMES.insert(Arc::new(RuntimeObject { life: Mutex::new(life) }))?;
        give(runtime, std::ptr::without_provenance_mut(handle))?;
        Ok(Status::Ok)
    })
}

/// No daemon threads: `rt_thread_attach` refuses them.
pub const RT_RUNTIME_NO_DAEMONS: u32 = 1;

/// What a child runtime is made with; it keeps that in every life. Zero in a field is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_runtime_options {
    /// `sizeof(rt_runtime_options)`.
    pub struct_size: usize,
    /// The name reports use, copied; NULL is a name of its own.
    pub name: *const c_char,
    /// 0, or `RT_RUNTIME_NO_DAEMONS`.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
}

const RUNTIME_OPTIONS_FIRST_VERSION: usize = size_of::<rt_runtime_options>();

/// Makes a runtime that runs, as a child of `parent`, and stores its handle in `*child`. NULL as the
/// parent is the default runtime.
///
/// A child has threads, callbacks, writers and handlers of its own; a thread may be attached to it and
/// to its parent. Finalizing the parent finalizes its children in the `children` phase, the youngest
/// first, each with all its phases, on the thread that finalizes the parent: by the child's own
/// options, within the time the parent has left and at most half of the grace it has left. If another
/// thread is finalizing the child, that is waited for as long as the child's `join_us` and the
/// parent's time allow; then the child is left to it and entered in the parent's ledger as
/// `RT_LEAK_CHILD`. A child that was incomplete makes its parent incomplete; its report is part of
/// the parent's (`rt_report_child`).
///
/// A child may be finalized before its parent, alone: from any thread, also inside a callback or
/// handler of the parent. It may have children of its own, down to 32 generations.
///
/// `options` may be NULL: the defaults. The handle is the host's, also after the parent finalized
/// the child: free it with `rt_runtime_free`, before or after the parent's.
///
/// Thread: any. Stage: until the parent freezes; one made while the parent runs its passes is
/// finalized with the others. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`,
/// `RT_ERR_INVALID` (a flag, or too many generations), `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING` (the
/// parent).
///
/// CPython: `Py_NewInterpreterFromConfig`; the flag is its `allow_daemon_threads`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_runtime_new_child(
    parent: *mut rt_runtime,
    options: *const rt_runtime_options,
    child: *mut *mut rt_runtime,
) -> rt_status {
    boundary(|| {
        if child.is_null() {
            return Err(Status::Null.error());
        }
        let mut born_with = RuntimeOptions { name: "unnamed".into(), no_daemons: false };
        if options.is_null() {
            crate::sys::memory::spare(0)?;
        } else {
            // SAFETY: by the header; integers and pointers are zeroable.
            let given = unsafe { versioned(options, RUNTIME_OPTIONS_FIRST_VERSION)? };
            if given.flags & !RT_RUNTIME_NO_DAEMONS != 0 {
                return Err(Status::Invalid.because(format!("unknown flags {:#x}", given.flags)));
            }
            if given.reserved != 0 {
                return Err(Status::Invalid.because("reserved is not 0"));
            }
            if let Some(name) = text(given.name)? {
                born_with.name = name.into();
            }
            born_with.no_daemons = given.flags & RT_RUNTIME_NO_DAEMONS != 0;
        }
        let life = Runtime::new_child(&runtime_of(parent)?, born_with)?;
        let handle = RUNTIMES.insert(Arc::new(RuntimeObject { life: Mutex::new(life) }))?;
        give(child, std::ptr::without_provenance_mut(handle))?;
        Ok(Status::Ok)
    })
}

/// Frees a runtime that was finalized, and its handle. Nothing may use the handle any more.
///
/// Children of it that its finalization left to other threads go on, and are still their hosts' to
/// free; a child cannot be initialised again once its parent is freed.
///
/// Thread: any. Stage: after `rt_finalize` of it. Threads parked by it stay parked.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_STATE` if it is not finalized, `RT_ERR_INVALID` for NULL
/// (the default runtime cannot be freed).
///
/// CPython: the rest of `Py_EndInterpreter`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_free(runtime: *mut rt_runtime) -> rt_status {
    boundary(|| {
        if runtime.is_null() {
            return Err(Status::Invalid.because("the default runtime cannot be freed"));
        }
        let object = RUNTIMES.pin(runtime.addr())?;
        let life = object.life.lock().clone();
        life.discard()?;
        Pinned::close(&object);
        Ok(Status::Ok)
    })
}

/// Starts a runtime again after it was finalized: a new life, in which nothing of the former one is
/// registered and no thread attached. Threads and writers of the former life find it finalized.
///
/// The default runtime needs no first start: it runs as soon as it is used. A child starts again only
/// while its parent admits children; it is one of them again then.
///
/// Thread: any. Stage: finalized. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`; `RT_ERR_STATE` if the runtime is not finalized, or its parent is
/// finalized or freed.
///
/// CPython: `Py_Initialize` after `Py_FinalizeEx`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_initialize(runtime: *mut rt_runtime) -> rt_status {
    boundary(|| {
        if runtime.is_null() {
            Runtime::main().initialise_again()?;
            return Ok(Status::Ok);
        }
        let object = RUNTIMES.pin(runtime.addr())?;
        let life = object.life.lock().clone();
        let fresh = life.initialise_again()?;
        *object.life.lock() = fresh;
        Ok(Status::Ok)
    })
}

/// How far a runtime's life has come: one of `RT_STATE_*`, or a negative status.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns a state; `RT_ERR_HANDLE`.
///
/// CPython: `Py_IsInitialized` and `Py_IsFinalizing` in one.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_state(runtime: *mut rt_runtime) -> i32 {
    let mut state = RT_STATE_RUNNING;
    let status = boundary(|| {
        state = match runtime_of(runtime)?.state() {
            State::Running => RT_STATE_RUNNING,
            State::PreFinalizing => RT_STATE_PRE_FINALIZING,
            State::Finalizing => RT_STATE_FINALIZING,
            State::Finalized => RT_STATE_FINALIZED,
        };
        Ok(Status::Ok)
    });
    if status < 0 { status } else { state }
}

/// The number a runtime is known by to locks (`rt_buffered_lock_init_for`): 0 for the default one,
/// the same in every life. A negative status if there is none.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns a number; `RT_ERR_HANDLE`.
///
/// CPython: `PyInterpreterState_GetID`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_id(runtime: *mut rt_runtime) -> i64 {
    let mut id = 0;
    let status = boundary(|| {
        id = runtime_of(runtime)?.id();
        Ok(Status::Ok)
    });
    if status < 0 { status.into() } else { id.into() }
}

/// 1 from the moment the default runtime starts to finalize until it is initialised again, else 0.
///
/// One load; never waits. `rt_is_finalizing_inline` is the same without a call.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// CPython: `Py_IsFinalizing`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_is_finalizing() -> c_int {
    // Relaxed: the answer is a hint that may be old when it arrives; nothing is published by it.
    rt_finalizing_flag.load(Ordering::Relaxed)
}
