//! Statuses and their texts.

use super::rt_status;
use crate::status::Status;
use crate::thread::this_thread;
use libc::c_char;

/// Done.
pub const RT_OK: i32 = 0;
/// A lock was taken over from an owner that will never run again: check what it protects.
pub const RT_RECOVERED: i32 = 1;
/// Memory the kernel may still write to was kept open and allocated, on purpose.
pub const RT_LEAKED: i32 = 2;
/// Returned by a handler: it did some work, so the passes before `children` go round again.
pub const RT_AGAIN: i32 = 3;
/// Returned by a tracked object's finalize: something refers to the object still, it is not to be
/// deallocated. And what `rt_object_dispose` returns then.
pub const RT_RESURRECTED: i32 = 4;
/// What `rt_overlapped_start` returns for an operation that has ended already, and of which no packet
/// arrives at a completion port.
pub const RT_ENDED: i32 = 5;
/// What `rt_finalize` returns when everything was done, but the report could not be written to where
/// `RTFINALIZE_REPORT` has it. `rt_report_unreported` says why.
pub const RT_UNREPORTED: i32 = 6;

/// An argument has a value the call cannot use.
pub const RT_ERR_INVALID: i32 = -1;
/// A pointer that must be given is NULL.
pub const RT_ERR_NULL: i32 = -2;
/// The handle was never issued, or is closed already.
pub const RT_ERR_HANDLE: i32 = -3;
/// `struct_size` fits no version of the struct, or a newer one with fields set that this library
/// does not know.
pub const RT_ERR_STRUCT_SIZE: i32 = -4;
/// A name is not UTF-8.
pub const RT_ERR_UTF8: i32 = -5;
/// A size is zero where it must not be, or larger than an object can be.
pub const RT_ERR_SIZE: i32 = -6;
/// Out of memory; nothing was changed.
pub const RT_ERR_NO_MEMORY: i32 = -7;
/// Nothing of that identity is registered: it ran, or was removed, already.
pub const RT_ERR_NOT_FOUND: i32 = -8;
/// This platform does not have the operation.
pub const RT_ERR_UNSUPPORTED: i32 = -9;
/// The dependency would close a cycle; the last error's text prints it.
pub const RT_ERR_CYCLE: i32 = -10;
/// The time given ran out.
pub const RT_ERR_TIMEOUT: i32 = -20;
/// This thread holds the lock already, or is inside an operation on the writer: a signal handler, or
/// a callback of that same writer.
pub const RT_ERR_REENTRANT: i32 = -21;
/// Finalizing, and the lock's owner is alive but did not let go within the grace: stuck in a system
/// call, say. Do not touch or free what the lock protects.
pub const RT_ERR_OWNER_BLOCKED: i32 = -22;
/// This thread does not hold the lock.
pub const RT_ERR_NOT_OWNER: i32 = -23;
/// The runtime is finalizing or finalized.
pub const RT_ERR_FINALIZING: i32 = -30;
/// Finalize was called from inside a callback of the runtime or of a descendant of it.
pub const RT_ERR_IN_CALLBACK: i32 = -31;
/// The thread is not attached to the runtime.
pub const RT_ERR_NOT_ATTACHED: i32 = -32;
/// The thread is attached to the runtime already.
pub const RT_ERR_ALREADY_ATTACHED: i32 = -33;
/// The handle belongs to another thread.
pub const RT_ERR_WRONG_THREAD: i32 = -34;
/// The call does not fit the object's present state.
pub const RT_ERR_STATE: i32 = -35;
/// The thread shall end, for its policy is `RT_POLICY_EXIT`. The header's inline forms do it.
pub const RT_ERR_EXIT_THREAD: i32 = -36;
/// The thread is past its own end: its last exit hooks have run.
pub const RT_ERR_THREAD_EXITING: i32 = -37;
/// The system refused the operation; the last error's text has its reason.
pub const RT_ERR_IO: i32 = -50;
/// The descriptor is closed, or not open for this.
pub const RT_ERR_BAD_DESCRIPTOR: i32 = -51;
/// The kernel still works on the operation.
pub const RT_ERR_IN_FLIGHT: i32 = -52;
/// It cannot be done now without waiting.
pub const RT_ERR_WOULD_BLOCK: i32 = -53;
/// A callback failed.
pub const RT_ERR_CALLBACK: i32 = -60;
/// Finalized, but data could not be flushed, a phase failed or a deadline passed.
pub const RT_ERR_INCOMPLETE: i32 = -61;
/// Called from inside `dealloc`, where only C data may be touched. Nothing was done and no argument was
/// looked at; the report counts the call, with the object's name. Any function may return this but
/// those on a `rt_buffered_lock` (16 bytes of C data), except `rt_buffered_lock_init_for`, and those on a
/// `rt_report`. Functions that return no status and touch no runtime work as ever: `rt_strerror`,
/// `rt_last_error`, `rt_version`, `rt_version_string`, `rt_phase_name`, `rt_is_finalizing`.
pub const RT_ERR_IN_DEALLOC: i32 = -62;
/// A defect inside the library, contained. Please report it with the last error's text.
pub const RT_ERR_INTERNAL: i32 = -99;

/// What a status means, in a sentence fit for a log.
///
/// The text is static and never NULL; a number that is no status says so.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_strerror(status: rt_status) -> *const c_char {
    let text = Status::from_code(status).map_or("not a status of rtfinalize\0", Status::text);
    text.as_ptr().cast()
}

/// The text of the calling thread's last error: what went wrong, and what to do about it.
///
/// Set by calls that return a negative status, left alone by all others. Never NULL, empty before the
/// first error, at most 511 bytes of UTF-8. It belongs to the library: valid until the thread's next
/// error, and gone with the thread.
///
/// Thread: any, each has its own. Stage: any. Signal handler: safe.
///
/// CPython: the job of `PyErr_Occurred`, without objects.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_last_error() -> *const c_char {
    this_thread::last_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_constant() {
        let constants = [
            RT_OK,
            RT_RECOVERED,
            RT_LEAKED,
            RT_AGAIN,
            RT_RESURRECTED,
            RT_ENDED,
            RT_UNREPORTED,
            RT_ERR_INVALID,
            RT_ERR_NULL,
            RT_ERR_HANDLE,
            RT_ERR_STRUCT_SIZE,
            RT_ERR_UTF8,
            RT_ERR_SIZE,
            RT_ERR_NO_MEMORY,
            RT_ERR_NOT_FOUND,
            RT_ERR_UNSUPPORTED,
            RT_ERR_CYCLE,
            RT_ERR_TIMEOUT,
            RT_ERR_REENTRANT,
            RT_ERR_OWNER_BLOCKED,
            RT_ERR_NOT_OWNER,
            RT_ERR_FINALIZING,
            RT_ERR_IN_CALLBACK,
            RT_ERR_NOT_ATTACHED,
            RT_ERR_ALREADY_ATTACHED,
            RT_ERR_WRONG_THREAD,
            RT_ERR_STATE,
            RT_ERR_EXIT_THREAD,
            RT_ERR_THREAD_EXITING,
            RT_ERR_IO,
            RT_ERR_BAD_DESCRIPTOR,
            RT_ERR_IN_FLIGHT,
            RT_ERR_WOULD_BLOCK,
            RT_ERR_CALLBACK,
            RT_ERR_INCOMPLETE,
            RT_ERR_IN_DEALLOC,
            RT_ERR_INTERNAL,
        ];
        let statuses: Vec<i32> = Status::ALL.iter().map(|status| *status as i32).collect();
        assert_eq!(constants.to_vec(), statuses);
    }
}
