//! The buffered lock.

use super::boundary::{boundary, boundary_in_handlers_and_dealloc, give, required};
use super::rt_status;
use super::runtime::{rt_runtime, runtime_of};
use crate::lock::buffered::{Acquired, BufferedLock};
use crate::runtime::registry::Process;
use crate::status::{Result, Status};
use crate::sync::Deadline;
use crate::thread::this_thread;

/// The lock of a buffered reader or writer: 16 bytes of the host's, wherever the host wants them.
///
/// All zeroes is a free lock that follows the default runtime; `RT_BUFFERED_LOCK_INIT` is that. It may
/// be moved or freed while nobody holds it or is inside a call on it; what a thread wrote under it is
/// seen by whoever takes it next. There is nothing to destroy. The fields are the library's.
///
/// CPython: `lock` and `owner` of `buffered` in `Modules/_io/bufferedio.c`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_buffered_lock {
    /// The owner, and whether somebody waits.
    pub rt_word: u64,
    /// The runtime it follows.
    pub rt_runtime: u32,
    /// What the kernel took of the owner's raw write.
    pub rt_progress: u32,
}

const _: () = assert!(size_of::<rt_buffered_lock>() == size_of::<BufferedLock>());
const _: () = assert!(align_of::<rt_buffered_lock>() == align_of::<BufferedLock>());

fn lock_of<'a>(lock: *mut rt_buffered_lock) -> Result<&'a BufferedLock> {
    // The two have one layout, and the header says the lock is zeroes or what `init` wrote.
    required(lock.cast::<BufferedLock>())
}

/// Makes a free lock that follows the default runtime, in memory of any content.
///
/// `lock` must not be held, waited for, or NULL (then nothing happens).
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// CPython: `_PyIO_..._init` of a buffered object.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_init(lock: *mut rt_buffered_lock) {
    let free = rt_buffered_lock { rt_word: 0, rt_runtime: 0, rt_progress: 0 };
    let _ = give(lock, free);
}

/// Makes a free lock that follows `runtime`: when that finalizes, waits for the lock are bounded.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`.
///
/// CPython: as `rt_buffered_lock_init`, in a subinterpreter.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_init_for(
    lock: *mut rt_buffered_lock,
    runtime: *mut rt_runtime,
) -> rt_status {
    boundary(|| {
        let rt_runtime = runtime_of(runtime)?.id();
        give(lock, rt_buffered_lock { rt_word: 0, rt_runtime, rt_progress: 0 })?;
        Ok(Status::Ok)
    })
}

/// Acquires the lock, waiting for its owner.
///
/// An owner that will never run again, one that was parked or has exited, is not waited for at all. A
/// live one is waited for as long as it takes, until the lock's runtime freezes; from then on only for
/// the grace period (by default 1 s; the finalizing thread has one grace for all its waits). In a callback
/// of a finalization, before the freeze too, the wait ends with the time of that. A wait
/// that began earlier is woken by the freeze, and follows the new rules. Uncontended it costs one
/// atomic read-modify-write.
///
/// A waiting thread stays where it is: one inside a runtime should leave it before it may wait long.
///
/// Thread: any, attached or not. Stage: any. Signal handler: safe until the lock's runtime finalizes; from
/// then on it may take memory, to name an owner that does not let go.
///
/// Returns `RT_OK`; `RT_RECOVERED` if it was taken over from an owner that will never run again: the
/// lock is held, but what it protects may be half changed (`rt_buffered_lock_take_progress`);
/// `RT_ERR_REENTRANT` if this thread holds it already; `RT_ERR_OWNER_BLOCKED` if, finalizing, the owner
/// did not let go within the grace: do not touch or free what the lock protects; `RT_ERR_NULL`,
/// `RT_ERR_THREAD_EXITING`.
///
/// CPython: `ENTER_BUFFERED`, without its fatal error "could not acquire lock for ... at interpreter
/// shutdown, possibly due to daemon threads".
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_acquire(lock: *mut rt_buffered_lock) -> rt_status {
    acquire(lock, -1)
}

/// Acquires the lock, waiting for its owner at most `timeout_us` microseconds: negative waits
/// indefinitely, 0 only tries. It never waits longer than that.
///
/// Otherwise as `rt_buffered_lock_acquire`.
///
/// Thread: as there. Stage: any. Signal handler: safe.
///
/// Returns what `rt_buffered_lock_acquire` does, and `RT_ERR_TIMEOUT`.
///
/// CPython: `PyThread_acquire_lock_timed`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_acquire_timed(
    lock: *mut rt_buffered_lock,
    timeout_us: i64,
) -> rt_status {
    acquire(lock, timeout_us)
}

#[inline]
fn acquire(lock: *mut rt_buffered_lock, timeout_us: i64) -> rt_status {
    // The fast path passes no boundary: it cannot panic, and calls nobody.
    if let Ok(lock) = lock_of(lock)
        && let Some(me) = this_thread::known_id()
        && lock.take_free(me)
    {
        return Status::Ok as rt_status;
    }
    acquire_slow(lock, timeout_us)
}

#[cold]
fn acquire_slow(lock: *mut rt_buffered_lock, timeout_us: i64) -> rt_status {
    boundary_in_handlers_and_dealloc(|| {
        match lock_of(lock)?.acquire(&Process, Deadline::after_us(timeout_us))? {
            Acquired::Released => Ok(Status::Ok),
            Acquired::Recovered => Ok(Status::Recovered),
        }
    })
}

/// Releases the lock. Uncontended it costs one atomic read-modify-write.
///
/// Thread: the owner. Stage: any. Signal handler: safe.
///
/// Returns `RT_OK`; `RT_ERR_NOT_OWNER` if this thread does not hold it, and nothing was changed;
/// `RT_ERR_NULL`.
///
/// CPython: `LEAVE_BUFFERED`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_release(lock: *mut rt_buffered_lock) -> rt_status {
    if let Ok(lock) = lock_of(lock)
        && let Some(me) = this_thread::known_id()
        && lock.let_go(me)
    {
        return Status::Ok as rt_status;
    }
    release_slow(lock)
}

#[cold]
fn release_slow(lock: *mut rt_buffered_lock) -> rt_status {
    boundary_in_handlers_and_dealloc(|| lock_of(lock)?.release().map(|()| Status::Ok))
}

/// The owner says how many bytes of a raw write in progress the kernel has taken.
///
/// To be called between the system call's return and the next point at which the thread can be
/// parked (`rt_thread_enter`, `rt_thread_checkpoint`). Whoever takes the lock over reads it with
/// `rt_buffered_lock_take_progress`, and so writes each byte once. The owner that goes on normally takes
/// it back itself, before it accounts for the bytes.
///
/// Thread: the owner. Stage: any. Signal handler: safe.
///
/// Returns `RT_OK`; `RT_ERR_NOT_OWNER`, `RT_ERR_NULL`.
///
/// CPython: none; the count lives in a local variable there, and is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_publish_progress(
    lock: *mut rt_buffered_lock,
    bytes: u32,
) -> rt_status {
    boundary_in_handlers_and_dealloc(|| {
        held(lock)?.publish_progress(bytes);
        Ok(Status::Ok)
    })
}

/// Takes what was published and not taken yet: stores it in `*bytes` and leaves 0.
///
/// Thread: the owner. Stage: any. Signal handler: safe.
///
/// Returns `RT_OK`; `RT_ERR_NOT_OWNER`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_buffered_lock_take_progress(
    lock: *mut rt_buffered_lock,
    bytes: *mut u32,
) -> rt_status {
    boundary_in_handlers_and_dealloc(|| {
        let lock = held(lock)?;
        if bytes.is_null() {
            return Err(Status::Null.error());
        }
        give(bytes, lock.take_progress())?;
        Ok(Status::Ok)
    })
}

fn held<'a>(lock: *mut rt_buffered_lock) -> Result<&'a BufferedLock> {
    let lock = lock_of(lock)?;
    if lock.is_held_by(this_thread::id()?) { Ok(lock) } else { Err(Status::NotOwner.error()) }
}
