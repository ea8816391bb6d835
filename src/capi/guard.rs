//! Views and guards.

use super::boundary::{boundary, boundary_in_handlers, give};
use super::rt_status;
use super::runtime::{rt_runtime, runtime_of};
use super::thread::{id_of, not_this_threads, rt_thread};
use crate::runtime::attachment::Attachment;
use crate::runtime::attachment::own;
use crate::runtime::guards::exchange::NAME_SIZE;
use crate::runtime::guards::table::Guard;
use crate::runtime::guards::view::{Pin, View};
use crate::status::{Result, Status};
use crate::sync::activity::interrupted;
use crate::sys::cell;
use libc::c_char;
use std::ffi::CStr;

/// A reference to one life of a runtime. It keeps nothing alive, and outlives the runtime and its
/// handle: a view of a life that is over, or of a runtime that was freed, is good, and grants nothing.
pub enum rt_view {}

/// An open guard: while there is one, finalization of its runtime waits before the freeze.
pub enum rt_guard {}

/// Makes a view of the present life of a runtime and stores it in `*view`.
///
/// Threads that are to call in later get a view, not the runtime: `rt_guard_acquire` then checks and
/// pins in one step. The view never refers to another life: after `rt_initialize` make another.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_NO_MEMORY`.
///
/// CPython: `PyInterpreterView_FromCurrent`, with NULL `PyUnstable_InterpreterView_FromDefault` (PEP 788).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_view_from(
    runtime: *mut rt_runtime,
    view: *mut *mut rt_view,
) -> rt_status {
    boundary(|| {
        if view.is_null() {
            return Err(Status::Null.error());
        }
        crate::sys::memory::spare(0)?;
        let made = View::of(pin_of(runtime_of(runtime)?.pin())?)?;
        give(view, std::ptr::without_provenance_mut(made.handle()))?;
        Ok(Status::Ok)
    })
}

fn pin_of(pin: Option<Pin>) -> Result<Pin> {
    pin.ok_or_else(|| Status::NoMemory.because("the runtime started without memory for guards"))
}

/// Closes a view. Guards that were acquired from it stay open. NULL does nothing.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`.
///
/// CPython: `PyInterpreterView_Close` (PEP 788).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_view_close(view: *mut rt_view) -> rt_status {
    boundary_in_handlers(|| {
        if !view.is_null() {
            View::from_handle(view.addr()).close()?;
        }
        Ok(Status::Ok)
    })
}

/// Checks that the life a view sees runs, and pins it, in one call; stores the guard in `*guard`. Until
/// `rt_guard_release` finalization does not go on to the freeze.
///
/// `name` is copied, cut to 32 bytes; NULL for none. A wait for guards that overruns names them with
/// their threads and ages.
///
/// Once finalization has begun a new guard is refused: threads that come back again and again would keep
/// finalization from ever going on. Until the step to the freeze it is still granted to those for whom
/// finalization waits anyway: a thread that holds another guard of this life, any thread while a shared one
/// is open (it may have been handed over to that thread), a thread that is attached and waited for, and the
/// finalizing thread. The call then may wait for that one's decision, some milliseconds.
///
/// A host with one big lock, which holders of guards need before they let go, must not keep it while
/// finalization waits for them. It lets go of the lock in handlers before the work of `RT_PHASE_GUARDS`,
/// `RT_PHASE_THREADS` and `RT_PHASE_FREEZE` (`rt_phase_add_handler` with a negative order), and takes it
/// again in handlers after that (order 0).
///
/// A guard that is open when the budget of `RT_PHASE_GUARDS` or the deadline is over does not hold up
/// finalization any longer, and counts as a runaway: nothing its holder may reach is freed. Without
/// either, finalization waits as long as it takes, and says on stderr for whom. Guards of the
/// finalizing thread itself are not waited for, unless they are shared (`rt_guard_acquire_shared`).
///
/// No atomic read-modify-write, and no cache line that other threads write, attached or not. After
/// `fork` the child has the guards of the thread that forked; those of others are closed.
///
/// Thread: any, attached or not. Stage: until finalization begins, and as said above.
/// Signal handler: safe.
///
/// Returns `RT_OK`; `RT_ERR_FINALIZING` if the life is being finalized, or over; `RT_ERR_NULL`,
/// `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`, `RT_ERR_THREAD_EXITING`; `RT_ERR_WOULD_BLOCK` in
/// a signal handler over a call of this library that cannot be entered twice.
///
/// CPython: `PyInterpreterGuard_FromView` (PEP 788).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_guard_acquire(
    view: *mut rt_view,
    name: *const c_char,
    guard: *mut *mut rt_guard,
) -> rt_status {
    boundary_in_handlers(|| open_through(view, name, false, guard))
}

/// As `rt_guard_acquire`, for a guard that is handed over: any thread may close it, so finalization waits
/// for it also if the finalizing thread has opened it. If nobody else closes it that wait lasts until the
/// budget or the deadline is over.
///
/// Thread: any, attached or not. Stage: as `rt_guard_acquire`. Signal handler: safe.
///
/// Returns as `rt_guard_acquire`.
///
/// CPython: `PyInterpreterGuard_FromCurrent`, given to a thread that is started then (PEP 788).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_guard_acquire_shared(
    view: *mut rt_view,
    name: *const c_char,
    guard: *mut *mut rt_guard,
) -> rt_status {
    boundary_in_handlers(|| open_through(view, name, true, guard))
}

/// As `rt_guard_acquire`, for the runtime the calling thread is attached to by `thread`: no view is
/// needed.
///
/// Thread: the one that attached. Stage: as `rt_guard_acquire`. Signal handler: safe.
///
/// Returns as `rt_guard_acquire`; `RT_ERR_WRONG_THREAD`.
///
/// CPython: `PyInterpreterGuard_FromCurrent` (PEP 788).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_guard_from_current(
    thread: *mut rt_thread,
    name: *const c_char,
    guard: *mut *mut rt_guard,
) -> rt_status {
    boundary_in_handlers(|| {
        if guard.is_null() {
            return Err(Status::Null.error());
        }
        let not_mine = || match cell::is_over_the_library() {
            // The list of attachments may be changing below this handler.
            true => interrupted(),
            false => not_this_threads(thread),
        };
        // SAFETY: asking for the pin does not detach.
        let pin = unsafe { own::on_attachment(id_of(thread), Attachment::pin) };
        open(pin_of(pin.ok_or_else(not_mine)?)?, name, false, guard)
    })
}

#[inline]
fn open_through(
    view: *mut rt_view,
    name: *const c_char,
    shared: bool,
    guard: *mut *mut rt_guard,
) -> Result<Status> {
    if view.is_null() || guard.is_null() {
        return Err(Status::Null.error());
    }
    open(View::from_handle(view.addr()).pin()?, name, shared, guard)
}

#[inline]
fn open(pin: Pin, name: *const c_char, shared: bool, guard: *mut *mut rt_guard) -> Result<Status> {
    let opened = Guard::acquire(pin, short_name(name)?, shared)?;
    give(guard, std::ptr::without_provenance_mut(opened.handle()))?;
    Ok(Status::Ok)
}

/// The name, cut to what a guard keeps.
#[inline]
fn short_name(name: *const c_char) -> Result<[u8; NAME_SIZE]> {
    let mut kept = [0; NAME_SIZE];
    if !name.is_null() {
        // SAFETY: not null, and the header says it is a C string then.
        let name = unsafe { CStr::from_ptr(name) };
        let name = name.to_str().map_err(|_| Status::Utf8.error())?;
        let cut = name.floor_char_boundary(NAME_SIZE);
        kept[..cut].copy_from_slice(&name.as_bytes()[..cut]);
    }
    Ok(kept)
}

/// Closes a guard: what was done under it is whole before finalization goes on. NULL does nothing.
///
/// It need not be the thread that opened it. A guard of a thread that has ended stays open until
/// another one closes it. Of two threads that release the same guard at the same moment both may get
/// `RT_OK`; it is closed once.
///
/// Thread: any. Stage: any; late, after finalization gave the guard up, it does
/// nothing more than close. Signal handler: safe.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE` if it was released already, or never was.
///
/// CPython: `PyInterpreterGuard_Close` (PEP 788).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_guard_release(guard: *mut rt_guard) -> rt_status {
    boundary_in_handlers(|| {
        if !guard.is_null() {
            Guard::from_handle(guard.addr()).release()?;
        }
        Ok(Status::Ok)
    })
}
