//! Threads and their attachments.

use super::boundary::{
    boundary, boundary_in_dealloc_too, give, give_text, light_boundary, text, versioned,
};
use super::callback::call_of;
use super::runtime::{rt_runtime, runtime_of};
use super::{rt_callback, rt_status};
use crate::runtime::attachment::own;
use crate::runtime::attachment::parked;
use crate::runtime::attachment::{Attachment, Policy, ThreadOptions};
use crate::runtime::handlers::Work;
use crate::status::{Error, Result, Status};
use crate::sync::Arc;
use crate::sys::thread_activity;
use crate::text::Shown;
use libc::{c_char, c_void};

/// A thread's attachment to a runtime. It belongs to the thread that attached: only that thread may
/// use it.
pub enum rt_thread {}

/// A thread that comes too late is parked for good, for all runtimes it is attached to; its stack
/// stays, nothing is unwound. One that is finalizing another runtime at that moment gets
/// `RT_ERR_FINALIZING` instead. The default.
pub const RT_POLICY_HANG: u32 = 1;
/// A thread that comes too late gets `RT_ERR_FINALIZING`. Best for native code.
pub const RT_POLICY_ERROR: u32 = 2;
/// A thread that comes too late ends: the calls return `RT_ERR_EXIT_THREAD`, and their inline forms
/// (`rt_thread_enter_or_exit`, `rt_thread_checkpoint_or_exit`) call `pthread_exit` in the host's frame.
pub const RT_POLICY_EXIT: u32 = 3;

/// How a thread attaches. Zero in a field is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_thread_options {
    /// `sizeof(rt_thread_options)`.
    pub struct_size: usize,
    /// The name reports use, copied; NULL for none.
    pub name: *const c_char,
    /// Not 0: a daemon, which finalization does not wait for. A runtime with `RT_RUNTIME_NO_DAEMONS`
    /// refuses it.
    pub daemon: u32,
    /// One of `RT_POLICY_*`; 0 is `RT_POLICY_HANG`.
    pub policy: u32,
    /// Frees the host's state for the thread; may be NULL. Called once with `state`: by
    /// `rt_thread_detach`, or by the finalizing thread in the `reclaim` phase if the thread has
    /// detached late, exited, or can never run again. Otherwise never: the state is leaked on purpose
    /// and stands in the report.
    pub delete_state: rt_callback,
    /// Passed to `delete_state`.
    pub state: *mut c_void,
    /// One of `RT_WORK_*`; 0 goes by `daemon`. `RT_WORK_SKIP`: finalization waits for the thread
    /// only while it is inside, and from its beginning on an enter meets the thread's policy, as after
    /// the freeze. `RT_WORK_CONTINUE` is a daemon.
    pub work: u32,
    /// Must be 0.
    pub reserved: u32,
}

const OPTIONS_FIRST_VERSION: usize = std::mem::offset_of!(rt_thread_options, work);

/// Attaches the calling thread to a runtime and stores its handle in `*thread`. The thread is outside
/// then: it must enter before it touches the runtime.
///
/// Finalization knows the thread from here on, not from its creation: one that must be waited for
/// attaches before its creator goes on.
///
/// `options` may be NULL. The handle is gone after `rt_thread_detach`, or with the thread; a thread that
/// exits attached is noticed and named in the report.
///
/// Thread: any that is not attached to this runtime yet. Stage: until the runtime freezes.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`,
/// `RT_ERR_INVALID` (no such policy, or a daemon where there may be none or with another `work`), `RT_ERR_ALREADY_ATTACHED`, `RT_ERR_FINALIZING`,
/// `RT_ERR_NO_MEMORY`, `RT_ERR_THREAD_EXITING`. After an error `delete_state` is not called.
///
/// CPython: `PyThreadState_New`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_thread_attach(
    runtime: *mut rt_runtime,
    options: *const rt_thread_options,
    thread: *mut *mut rt_thread,
) -> rt_status {
    boundary(|| {
        if thread.is_null() {
            return Err(Status::Null.error());
        }
        crate::sys::memory::spare(0)?;
        let options = if options.is_null() {
            ThreadOptions::default()
        } else {
            // SAFETY: by the header; integers, pointers and an optional function are zeroable.
            convert(&unsafe { versioned(options, OPTIONS_FIRST_VERSION)? })?
        };
        let attachment = Attachment::attach(&runtime_of(runtime)?, options)?;
        give(thread, handle_of(&attachment))?;
        Ok(Status::Ok)
    })
}

fn convert(given: &rt_thread_options) -> Result<ThreadOptions> {
    let policy = match given.policy {
        0 => Policy::default(),
        number => Policy::from_number(number)
            .ok_or_else(|| Status::Invalid.because(format!("there is no policy {number}")))?,
    };
    let work = match given.work {
        0 if given.daemon != 0 => Work::Continue,
        0 => Work::Block,
        number => Work::from_number(number)
            .filter(|work| *work != Work::Brief)
            .ok_or_else(|| Status::Invalid.because(format!("there is no work policy {number}")))?,
    };
    if given.daemon != 0 && work != Work::Continue {
        return Err(Status::Invalid.because("a daemon's work policy is RT_WORK_CONTINUE"));
    }
    if given.reserved != 0 {
        return Err(Status::Invalid.because("reserved is not 0"));
    }
    let (daemon, may_skip) = (work == Work::Continue, work == Work::Skip);
    let delete_state = match given.delete_state {
        None => None,
        callback => Some(call_of(callback, given.state)?),
    };
    let name = text(given.name)?.map(Box::from);
    Ok(ThreadOptions { name, daemon, may_skip, policy, delete_state })
}

/// Keeps small numbers, and handles of other kinds, from being some thread's handle. Where it has an
/// upper half, no attachment's id ever grows into that, and none becomes NULL.
const SEED: usize = if usize::BITS == 64 { 0x52e7_4d39 << 32 | 0x1b86_e0f4 } else { 0x1b86_e0f4 };

fn handle_of(attachment: &Attachment) -> *mut rt_thread {
    let id = usize::try_from(attachment.id()).unwrap_or(usize::MAX);
    std::ptr::without_provenance_mut(id ^ SEED)
}

pub(super) fn id_of(thread: *mut rt_thread) -> u64 {
    (thread.addr() ^ SEED) as u64
}

/// The attachment of a handle. Only the thread's own are looked at, so a handle from another thread
/// is as wrong as one that was detached; the error says which when it can.
fn thread_of(thread: *mut rt_thread) -> Result<Arc<Attachment>> {
    Attachment::of_this_thread_by_id(id_of(thread)).ok_or_else(|| not_this_threads(thread))
}

/// As [`thread_of`], for a step short enough to notice a reference count. It must not detach.
#[inline]
fn step(thread: *mut rt_thread, step: impl FnOnce(&Attachment) -> Result<()>) -> rt_status {
    light_boundary(|| {
        // SAFETY: by this function's contract.
        match unsafe { own::on_attachment(id_of(thread), step) } {
            Some(done) => done.map(|()| Status::Ok),
            None => Err(not_this_threads(thread)),
        }
    })
}

#[cold]
pub(super) fn not_this_threads(thread: *mut rt_thread) -> Error {
    if thread.is_null() {
        Status::Null.error()
    } else if crate::runtime::registry::knows_thread(id_of(thread)) {
        Status::WrongThread.error()
    } else {
        Status::Handle.error()
    }
}

/// Detaches the calling thread. The handle is gone; the host state is deleted.
///
/// Late, once the runtime is frozen, the host state is left to the finalizing thread.
///
/// Thread: the one that attached. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_WRONG_THREAD`.
///
/// CPython: `PyThreadState_Clear` and `PyThreadState_DeleteCurrent`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_thread_detach(thread: *mut rt_thread) -> rt_status {
    boundary(|| thread_of(thread)?.detach().map(|()| Status::Ok))
}

/// Goes inside the runtime: from here to `rt_thread_leave` the thread may touch it, and the freeze
/// waits for it.
///
/// Once the runtime finalizes, only the finalizing thread gets in; another one meets its policy. With
/// `RT_POLICY_HANG` the call does not return then: the thread is parked for good, and locks it owns are
/// taken over from it.
///
/// Thread: the one that attached, outside. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; by policy `RT_ERR_FINALIZING` or `RT_ERR_EXIT_THREAD`, and the thread is outside;
/// `RT_ERR_STATE` if it is inside already; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_WRONG_THREAD`.
///
/// CPython: `PyEval_RestoreThread`, `Py_END_ALLOW_THREADS`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_thread_enter(thread: *mut rt_thread) -> rt_status {
    step(thread, |attachment| attachment.enter())
}

/// Goes outside the runtime, to block or to compute without it. Never waits.
///
/// Thread: the one that attached, inside. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_STATE` if it is not inside; `RT_ERR_NULL`, `RT_ERR_HANDLE`,
/// `RT_ERR_WRONG_THREAD`.
///
/// CPython: `PyEval_SaveThread`, `Py_BEGIN_ALLOW_THREADS`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_thread_leave(thread: *mut rt_thread) -> rt_status {
    step(thread, |attachment| attachment.leave())
}

/// To be passed often by a thread that runs inside: here it can be stopped.
///
/// Thread: the one that attached. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; by policy as `rt_thread_enter`, and the thread is outside; `RT_ERR_NULL`,
/// `RT_ERR_HANDLE`, `RT_ERR_WRONG_THREAD`.
///
/// CPython: the eval breaker, `Py_MakePendingCalls`' check for finalization.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_thread_checkpoint(thread: *mut rt_thread) -> rt_status {
    step(thread, |attachment| attachment.checkpoint())
}

/// Parks the calling thread for good, as `RT_POLICY_HANG` does with one that comes too late: it does not
/// return, nothing is unwound, no signal handler runs on it any more, and every buffered lock it holds
/// is taken over by whoever wants it next.
///
/// Whoever joins such a thread, or wants a mutex that it has, waits for good. Where lines about waits are wanted
/// (`rt_finalize_options.notice_us`) one names both threads, after the finalization too (Linux with glibc).
///
/// For a host that decides by itself who comes too late, as CPython does when a thread wants the GIL.
///
/// Thread: any, attached or not, but one that finalizes. Stage: any. Signal handler: never.
///
/// Returns never.
///
/// CPython: what `PyEval_RestoreThread` does with a daemon thread after finalization (3.14).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_thread_park() -> ! {
    parked::park_for_good()
}

/// Says what a thread of this process is doing, in words for a person, into a buffer of `size` bytes as a C string:
/// `running`, `asleep in futex`, `in read of descriptor 0 (pipe:[4711])`. Nothing of it is certain for longer than a
/// moment. On Windows it is what the thread is called.
///
/// `number` is the system's of the thread: what `gettid` or `GetCurrentThreadId` returns on it. The text is empty if
/// there is no such thread in this process, or nobody knows. `*needed` (may be NULL) gets the size of the whole, its NUL
/// included: call with `buffer` NULL and `size` 0 to learn it. What does not fit is cut, and the buffer is a C string all
/// the same; 256 bytes are enough for most texts.
///
/// Thread: any, about any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_SIZE` if it was cut; `RT_ERR_NULL`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_thread_whereabouts(
    number: u32,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        crate::sys::memory::spare(WHEREABOUTS_SIZE)?;
        let words = thread_activity::of(number).unwrap_or_default();
        give_text(&Shown(words).to_string(), buffer, size, needed)
    })
}

/// No more memory than this is needed at one time: the name of a file may be 4 KiB long.
const WHEREABOUTS_SIZE: usize = 16 * 1024;
