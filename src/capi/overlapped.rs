//! In-flight operations.

use super::boundary::{boundary, bytes, give, required, text, versioned};
use super::handle::{Pinned, Table};
use super::runtime::{rt_runtime, runtime_of};
use super::{rt_callback, rt_status};
use crate::runtime::Runtime;
use crate::runtime::overlapped::{Callbacks, Deallocated, Overlapped, WARN_IN_FLIGHT, Warning};
use crate::status::{Result, Status};
use crate::sync::{Arc, Deadline};
use libc::{c_char, c_int, c_void};

/// An operation the kernel works on, with the memory it works in.
pub enum rt_overlapped {}

static OPERATIONS: Table<Overlapped> = Table::new(0x3d07_5ae9);

/// Waits up to `timeout_us` microseconds for the operation to end; 0 only checks, negative waits
/// indefinitely. Returns 0 once it has ended, in whatever way; 1 while it is pending; negative if that
/// cannot be determined, which counts as pending.
///
/// It may be called again and again, from several threads at once.
pub type rt_overlapped_wait_callback =
    Option<unsafe extern "C-unwind" fn(arg: *mut c_void, timeout_us: i64) -> c_int>;

/// An operation of the host's own: how the library gets it to its end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_overlapped_callbacks {
    /// `sizeof(rt_overlapped_callbacks)`.
    pub struct_size: usize,
    /// Asks the kernel to cancel; may be NULL. Whether that worked is for `wait` to say.
    pub cancel: rt_callback,
    /// Waits for the operation. Must be given.
    pub wait: rt_overlapped_wait_callback,
    /// Closes what the operation runs on; may be NULL. Called once, after the operation has ended and
    /// with no other callback of it running; never if it is leaked.
    pub close: rt_callback,
    /// Frees the memory the kernel had; may be NULL. Called once, after `close`; never if it is leaked.
    pub free: rt_callback,
    /// Passed to all of them; stays the host's.
    pub arg: *mut c_void,
    /// How much memory the kernel has, in bytes, for the ledger; 0 if it is not known.
    pub bytes: usize,
}

const CALLBACKS_FIRST_VERSION: usize = size_of::<rt_overlapped_callbacks>();

/// Given to the warning callback: the operation is in flight and cannot be cancelled, so it will not be
/// freed unless it ends within the second attempt.
pub const RT_WARN_IN_FLIGHT: i32 = 1;

const _: () = assert!(RT_WARN_IN_FLIGHT == WARN_IN_FLIGHT);

/// Hears a warning about the operation called `name`, which lives as long as the call. It may do what an
/// `rt_callback` may; a call that frees the same operation gets `RT_ERR_REENTRANT`.
pub type rt_warning_callback =
    Option<unsafe extern "C-unwind" fn(arg: *mut c_void, warning: i32, name: *const c_char)>;

pub(super) fn operation_of(op: *mut rt_overlapped) -> Result<Pinned<Overlapped>> {
    OPERATIONS.pin(op.addr())
}

/// Makes an operation, gives it a handle, and only then starts it: whatever fails, nothing is in flight
/// that nobody knows of.
pub(super) fn start(
    runtime: *mut rt_runtime,
    name: *const c_char,
    op: *mut *mut rt_overlapped,
    make: impl FnOnce(&Arc<Runtime>, &str) -> Result<Arc<Overlapped>>,
) -> Result<Status> {
    if op.is_null() {
        return Err(Status::Null.error());
    }
    let made = make(&runtime_of(runtime)?, text(name)?.unwrap_or("unnamed"))?;
    let handle = OPERATIONS.insert(made.clone())?;
    if let Err(error) = made.submit() {
        Pinned::close(&OPERATIONS.pin(handle)?);
        return Err(error);
    }
    give(op, std::ptr::without_provenance_mut(handle))?;
    Ok(if made.sends_no_packet() { Status::Ended } else { Status::Ok })
}

/// Hands an operation that the host has started to the library, which gets it to its end by callbacks,
/// and stores its handle in `*op`.
///
/// `callbacks` is copied; `name` is copied, for warnings and the ledger, and may be NULL. `arg` and the
/// memory stay as they are until `free` is called. An error leaves everything with the host: none of
/// the callbacks is called. The handle is the host's: end it with `rt_overlapped_dealloc`. The
/// `overlapped` phase of finalization cancels what is pending, and closes and frees, or leaks.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL` (also if there is no `wait`), `RT_ERR_STRUCT_SIZE`, `RT_ERR_HANDLE`,
/// `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING`, `RT_ERR_THREAD_EXITING`.
///
/// CPython: the constructor of `_winapi.Overlapped` in Modules/_winapi.c.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_new(
    runtime: *mut rt_runtime,
    callbacks: *const rt_overlapped_callbacks,
    name: *const c_char,
    op: *mut *mut rt_overlapped,
) -> rt_status {
    boundary(|| {
        required(callbacks)?;
        // SAFETY: by the header; pointers and optional functions are zeroable.
        let given = unsafe { versioned(callbacks, CALLBACKS_FIRST_VERSION)? };
        let host = Callbacks {
            cancel: given.cancel,
            wait: given.wait.ok_or_else(|| Status::Null.because("no wait callback"))?,
            close: given.close,
            free: given.free,
            arg: given.arg,
            bytes: given.bytes as u64,
        };
        start(runtime, name, op, |runtime, name| Overlapped::new(runtime, host, name))
    })
}

/// Starts to read up to `size` bytes at `offset` of a descriptor, by POSIX AIO, and stores the handle of
/// the operation in `*op`.
///
/// The buffer is the library's (`rt_overlapped_data`), and so is the control block. The descriptor stays
/// the host's and must stay open until the handle is gone with `RT_OK`, or, once the operation is leaked,
/// until the process ends. A pipe or socket has no offset: give 0. `name` is copied, for warnings and the
/// ledger, and may be NULL. The handle is the host's: end it with `rt_overlapped_dealloc`.
///
/// A read that waits for data on a pipe or socket cannot be cancelled with glibc, whose AIO is a helper
/// thread that sits in `read`; one that is queued behind another on the same descriptor can.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns `RT_OK`. With any error nothing was started: `RT_ERR_BAD_DESCRIPTOR` (closed, or
/// write-only), `RT_ERR_SIZE` (0, or larger than an object can be), `RT_ERR_NO_MEMORY`,
/// `RT_ERR_INVALID` (a negative offset, or one too large for the system), `RT_ERR_NULL`,
/// `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_FINALIZING`, `RT_ERR_WOULD_BLOCK` (the system takes no more
/// requests now), `RT_ERR_IO`, `RT_ERR_THREAD_EXITING`; `RT_ERR_UNSUPPORTED` on Windows.
///
/// CPython: `_winapi.ReadFile` with `overlapped=True`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_aio_read(
    runtime: *mut rt_runtime,
    fd: c_int,
    size: usize,
    offset: i64,
    name: *const c_char,
    op: *mut *mut rt_overlapped,
) -> rt_status {
    boundary(|| {
        start(runtime, name, op, |runtime, name| {
            #[cfg(unix)]
            return Overlapped::read(runtime, fd, size, offset, name);
            #[cfg(not(unix))]
            return Err(unsupported(runtime, fd, size, offset, name));
        })
    })
}

/// Starts to write a copy of `size` bytes at `offset` of a descriptor, by POSIX AIO. Otherwise as
/// `rt_overlapped_aio_read`; `data` may be freed at once.
///
/// It is not a writer's: nothing flushes it. A pending write that cannot be cancelled at finalization is
/// leaked, and the ledger has it; whether its bytes arrive is the kernel's affair.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns what `rt_overlapped_aio_read` does (`RT_ERR_BAD_DESCRIPTOR`: closed, or read-only).
///
/// CPython: `_winapi.WriteFile` with `overlapped=True`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_aio_write(
    runtime: *mut rt_runtime,
    fd: c_int,
    data: *const c_void,
    size: usize,
    offset: i64,
    name: *const c_char,
    op: *mut *mut rt_overlapped,
) -> rt_status {
    boundary(|| {
        let data = bytes(data, size)?;
        start(runtime, name, op, |runtime, name| {
            #[cfg(unix)]
            return Overlapped::write(runtime, fd, data, offset, name);
            #[cfg(not(unix))]
            return Err(unsupported(runtime, fd, data.len(), offset, name));
        })
    })
}

#[cfg(not(unix))]
fn unsupported(_: &Arc<Runtime>, _: c_int, _: usize, _: i64, _: &str) -> crate::status::Error {
    Status::Unsupported.because("POSIX AIO")
}

/// Sets the callback that hears when `rt_overlapped_dealloc` finds the operation in flight while the
/// runtime runs; NULL, as at first, for none. It replaces the one before, which may be running still.
///
/// `arg` stays the host's. The callback is called from the thread that deallocates, between the two
/// attempts, so it can also do something about it.
///
/// Thread: any. Stage: any; once the runtime is frozen nobody is warned. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: the `RuntimeError` "I/O operations still in flight while destroying Overlapped object".
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_overlapped_on_warning(
    op: *mut rt_overlapped,
    callback: rt_warning_callback,
    arg: *mut c_void,
) -> rt_status {
    boundary(|| {
        operation_of(op)?.on_warning(callback.map(|function| Warning { function, arg }));
        Ok(Status::Ok)
    })
}

/// Waits until the operation has ended, at most `timeout_us` microseconds: negative waits
/// indefinitely, 0 only checks.
///
/// An attached thread is outside the runtime meanwhile, and may be parked when it comes back. An
/// indefinite wait ends with `RT_ERR_FINALIZING` soon after the runtime freezes, and any wait in a callback
/// of a finalization ends with the time of that finalization. A thread that waits on POSIX AIO cannot be
/// cancelled meanwhile.
///
/// Thread: any, attached or not; from inside the operation's own callbacks only with a bound. Stage:
/// any. Signal handler: limited.
///
/// Returns `RT_OK` if it ended well; `RT_ERR_IO` if it ended in an error (the last error's text has its
/// `errno`; a cancelled one has `ECANCELED`); `RT_ERR_TIMEOUT` while pending; `RT_ERR_FINALIZING` if it
/// is pending, the runtime is frozen and the wait has no bound, or the callbacks' operation was leaked;
/// `RT_ERR_EXIT_THREAD` by policy; `RT_ERR_CALLBACK` if the wait callback failed; `RT_ERR_STATE` in the
/// child of a `fork`, for the parent's POSIX AIO; `RT_ERR_REENTRANT` from inside its `close`, `free` or
/// warning; `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_THREAD_EXITING`.
///
/// CPython: `_winapi.Overlapped.GetOverlappedResult(True)`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_overlapped_wait(op: *mut rt_overlapped, timeout_us: i64) -> rt_status {
    boundary(|| {
        operation_of(op)?.wait(Deadline::after_us(timeout_us))?;
        Ok(Status::Ok)
    })
}

/// Asks the kernel to cancel the operation. The handle stays.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK` if it has ended now, cancelled or not: `rt_overlapped_result` tells; `RT_ERR_IN_FLIGHT`
/// if it is pending still, and may end at any time; `RT_ERR_FINALIZING` if it was leaked;
/// `RT_ERR_CALLBACK`, `RT_ERR_STATE`, `RT_ERR_REENTRANT`, `RT_ERR_HANDLE`, `RT_ERR_NULL`,
/// `RT_ERR_THREAD_EXITING` as `rt_overlapped_wait`.
///
/// CPython: `_winapi.Overlapped.cancel`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_overlapped_cancel(op: *mut rt_overlapped) -> rt_status {
    boundary(|| {
        operation_of(op)?.cancel()?;
        Ok(Status::Ok)
    })
}

/// Looks how the operation ended, and stores the number of bytes transferred in `*transferred` (may be
/// NULL): 0 for one of callbacks, whose count the library does not know.
///
/// Thread: any. Stage: any; also after finalization, as long as the handle lives. Signal handler: limited.
///
/// Returns `RT_OK` if it ended well; `RT_ERR_IN_FLIGHT` while pending; else what `rt_overlapped_wait`
/// does.
///
/// CPython: `_winapi.Overlapped.GetOverlappedResult(False)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_result(
    op: *mut rt_overlapped,
    transferred: *mut usize,
) -> rt_status {
    boundary(|| {
        let count = operation_of(op)?.result()?;
        if !transferred.is_null() {
            give(transferred, count)?;
        }
        Ok(Status::Ok)
    })
}

/// Looks how the operation ended, and stores the system's number for that in `*error`: an `errno`, on
/// Windows what `GetLastError` says. 0 for one that ended well, but for the remarks Windows makes then
/// (`ERROR_MORE_DATA`, `ERROR_HANDLE_EOF`, `ERROR_BROKEN_PIPE` of a read, `ERROR_PIPE_CONNECTED`).
///
/// Thread: any. Stage: any; also after finalization, as long as the handle lives. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_IN_FLIGHT` while pending; else what `rt_overlapped_wait` does, but `RT_ERR_IO`.
///
/// CPython: `_winapi.Overlapped.GetOverlappedResult`, its second result.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_error(
    op: *mut rt_overlapped,
    error: *mut u32,
) -> rt_status {
    boundary(|| {
        if error.is_null() {
            return Err(Status::Null.error());
        }
        give(error, operation_of(op)?.system_error()?)?;
        Ok(Status::Ok)
    })
}

/// Gives the bytes that `rt_overlapped_aio_read` has read: stores where they are in `*data` and how many
/// in `*size`, 0 at the end of a file.
///
/// They are the library's, and valid until the handle is deallocated.
///
/// Thread: any. Stage: any; also after finalization, as long as the handle lives. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_IN_FLIGHT` while pending; `RT_ERR_INVALID` if it is no read of the library's;
/// else what `rt_overlapped_result` does.
///
/// CPython: `_winapi.Overlapped.getbuffer`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_data(
    op: *mut rt_overlapped,
    data: *mut *const c_void,
    size: *mut usize,
) -> rt_status {
    boundary(|| {
        if data.is_null() || size.is_null() {
            return Err(Status::Null.error());
        }
        let operation = operation_of(op)?;
        let read = operation.data()?;
        give(data, read.as_ptr().cast())?;
        give(size, read.len())?;
        Ok(Status::Ok)
    })
}

/// Frees an operation: the replacement for a deallocator that frees memory the kernel may still write.
///
/// One that has ended is freed. One that is pending is cancelled, and waited for, at most 100 ms. If it is
/// pending still:
///
/// - Once the runtime is frozen (finalizing or finalized) the operation with its descriptor and its memory
///   is leaked on purpose, and entered in the report's ledger. The handle is gone. What the kernel does
///   later harms nobody. Do not close the descriptor, or free what the callbacks use.
/// - While the runtime runs the warning callback is called, and a second attempt made, at most another
///   100 ms. Then the call gives up: the handle stays valid, and finalization will see to the operation
///   if no later call does.
///
/// If another thread is in this call on the same operation, it is waited for, at most 200 ms. Of several
/// threads exactly one frees the operation and gets `RT_OK`. No callback's own time is bounded.
///
/// Thread: any. Stage: any; from inside callbacks too. After finalization it ends the handle: of an
/// operation that finalization has freed with `RT_OK`, of one it has leaked with `RT_LEAKED`.
/// Signal handler: limited.
///
/// Returns `RT_OK` (freed); `RT_LEAKED`, also in the child of a `fork` for the parent's POSIX AIO; with
/// both the handle is gone. `RT_ERR_IN_FLIGHT`: pending, or in the hands of another thread, and nothing
/// has changed; `RT_ERR_REENTRANT` from inside its `close`, `free` or warning; `RT_ERR_HANDLE` (also for
/// a second call), `RT_ERR_NULL`, `RT_ERR_THREAD_EXITING`.
///
/// CPython: `overlapped_dealloc` in Modules/_winapi.c (bpo-19565).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_overlapped_dealloc(op: *mut rt_overlapped) -> rt_status {
    boundary(|| {
        let operation = operation_of(op)?;
        let done = operation.dealloc()?;
        if !Pinned::close(&operation) {
            // Another thread was quicker: what it got is the answer, this call came second.
            return Err(Status::Handle.error());
        }
        Ok(match done {
            Deallocated::Freed => Status::Ok,
            Deallocated::Leaked => Status::Leaked,
        })
    })
}
