//! What a host adds to the account of a finalization: bytes and leaks the library cannot see.

use super::boundary::{boundary, required, text, versioned};
use super::report::{DESTINATION_FIRST_VERSION, rt_report_destination, rt_report_leak};
use super::rt_status;
use super::runtime::{rt_runtime, runtime_of};
use crate::report::ledger::{Leak, LeakKind};
use crate::report::{Blocked, Destination, ThreadState};
use crate::runtime::Runtime;
use crate::runtime::lifecycle::State;
use crate::status::{Result, Status};
use crate::sync::Arc;
use libc::c_char;

/// Enters a buffer of the host's own, with what became of its bytes, in the account of the runtime's
/// next, or present, finalization. For a host whose writers are not `rt_writer`s but whose
/// bytes shall be counted all the same: bytes unwritten or in flight make the finalization incomplete.
///
/// Name and reason are copied; `reason` may be NULL. `accepted` must be the sum of `written`,
/// `unwritten` and `in_flight`.
///
/// Thread: any. Stage: until the runtime is finalized. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_INVALID` if the bytes do not add up; `RT_ERR_FINALIZING` once it is finalized;
/// `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none; there such bytes are lost in silence.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_note_destination(
    runtime: *mut rt_runtime,
    destination: *const rt_report_destination,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header; integers and pointers are zeroable.
        let given = unsafe { versioned(destination, DESTINATION_FIRST_VERSION)? };
        let parts = given.written.checked_add(given.unwritten);
        if parts.and_then(|sum| sum.checked_add(given.in_flight)) != Some(given.accepted) {
            let why = "accepted is not the sum of written, unwritten and in_flight";
            return Err(Status::Invalid.because(why));
        }
        let destination = Destination {
            name: named(given.name)?,
            reason: text(given.reason)?.unwrap_or_default().to_owned(),
            accepted: given.accepted,
            written: given.written,
            flushed: given.flushed,
            recovered: given.recovered,
            unwritten: given.unwritten,
            in_flight: given.in_flight,
            left_to_parent: given.left_to_parent,
        };
        let runtime = runtime_of(runtime)?;
        let mut registrations = runtime.registrations.lock();
        if runtime.state() == State::Finalized {
            drop(registrations);
            return Err(runtime.late());
        }
        registrations.abandoned.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        registrations.abandoned.push(destination);
        Ok(Status::Ok)
    })
}

/// Enters something the host keeps on purpose, because a live thread or the kernel may touch it, in the
/// ledger of the runtime's next, or present, finalization. `restartable` says no because of it.
///
/// Name and reason are copied. `kind` is one of `RT_LEAK_*`, `RT_LEAK_HOST` for what is none of the
/// others.
///
/// Thread: any. Stage: until the runtime is finalized. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_INVALID` if there is no such kind; `RT_ERR_FINALIZING` once it is finalized;
/// `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_note_leak(
    runtime: *mut rt_runtime,
    leak: *const rt_report_leak,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header; integers and pointers are zeroable.
        let given = unsafe { versioned(leak, size_of::<rt_report_leak>())? };
        let kind = LeakKind::from_number(given.kind).ok_or_else(|| {
            Status::Invalid.because(format!("there is no leak kind {}", given.kind))
        })?;
        let leak = Leak {
            kind,
            name: named(given.name)?,
            bytes: given.bytes,
            reason: named(given.reason)?,
        };
        let runtime = runtime_of(runtime)?;
        if runtime.state() == State::Finalized {
            return Err(runtime.late());
        }
        runtime.enter_leak(leak);
        Ok(Status::Ok)
    })
}

/// Says that a wait of the host's own was ended before what it waited for had come: the report lists it
/// with those of the library, and the finalization is incomplete.
///
/// `what` is what was waited for, `outcome` what came of it (`not waited for any longer`); both are
/// copied. `waited_us` is how long it was waited for.
///
/// Thread: any. Stage: from the beginning of finalization to its end. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_STATE` while the runtime runs; `RT_ERR_FINALIZING` once it is finalized;
/// `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_note_blocked(
    runtime: *mut rt_runtime,
    what: *const c_char,
    waited_us: u64,
    outcome: *const c_char,
) -> rt_status {
    boundary(|| {
        let (what, outcome) = (named(what)?, named(outcome)?);
        finalizing(runtime)?.note_wait(what, waited_us, outcome, true);
        Ok(Status::Ok)
    })
}

/// Notes a wait in the host's code that has ended, or host code that took a long time. The report lists it with the
/// library's own waits, and names the longest ones as where the time went. It does not make the finalization incomplete.
///
/// `what` is what was waited for, or what took long; `outcome` what came of it (`ended`), NULL if it came in the end.
/// Both are copied. `waited_us` is how long it took, up to now.
///
/// Thread: any. Stage: from the beginning of finalization to its end. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_STATE` while the runtime runs; `RT_ERR_FINALIZING` once it is finalized;
/// `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_note_wait(
    runtime: *mut rt_runtime,
    what: *const c_char,
    waited_us: u64,
    outcome: *const c_char,
) -> rt_status {
    boundary(|| {
        let (what, outcome) = (named(what)?, text(outcome)?.unwrap_or(Blocked::CAME).to_owned());
        finalizing(runtime)?.note_wait(what, waited_us, outcome, false);
        Ok(Status::Ok)
    })
}

/// The thread runs.
pub const RT_SEEN_RUNNING: u32 = 1;
/// The thread waits for something.
pub const RT_SEEN_WAITING: u32 = 2;
/// The thread is stopped for good.
pub const RT_SEEN_STOPPED: u32 = 3;
/// The thread has ended.
pub const RT_SEEN_ENDED: u32 = 4;

/// What a host sees one of its threads do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_seen_thread {
    /// `sizeof(rt_seen_thread)`.
    pub struct_size: usize,
    /// The host's number for the thread, by which it is known again while it lives.
    pub number: u64,
    /// What the report calls it: `daemon thread 'logger'`. Read the first time.
    pub name: *const c_char,
    /// Where it is and what it waits for, `in fetch (app.py:12), in read of descriptor 3`; may be NULL.
    pub what: *const c_char,
    /// One of `RT_SEEN_*`.
    pub state: u32,
    /// Zero.
    pub reserved: u32,
}

/// Says what one of the host's threads does just now, for the report's lanes: a host that looks at its threads from time
/// to time while it is finalized calls it for each of them. What it said last holds until it says something else of the
/// thread, or until the end.
///
/// It says nothing about whether a thread is waited for: that is up to `rt_thread_attach` and `rt_note_wait`. Of many
/// threads, or changes of one, the first are kept, and the others counted.
///
/// Thread: any. Stage: from the beginning of finalization to its end. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_INVALID` if there is no such state; `RT_ERR_STATE` while the runtime runs;
/// `RT_ERR_FINALIZING` once it is finalized; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`,
/// `RT_ERR_NO_MEMORY`.
///
/// CPython: `faulthandler.dump_traceback`, at one moment.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_note_thread(
    runtime: *mut rt_runtime,
    thread: *const rt_seen_thread,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header; integers and pointers are zeroable.
        let given = unsafe { versioned(thread, size_of::<rt_seen_thread>())? };
        let state = ThreadState::from_number(given.state).ok_or_else(|| {
            Status::Invalid.because(format!("there is no thread state {}", given.state))
        })?;
        required(given.name)?;
        let name = text(given.name)?.unwrap_or_default();
        let what = text(given.what)?.unwrap_or_default();
        finalizing(runtime)?.note_thread((given.number, name), (state, what))?;
        Ok(Status::Ok)
    })
}

/// The runtime, if it is being finalized.
fn finalizing(runtime: *mut rt_runtime) -> Result<Arc<Runtime>> {
    let runtime = runtime_of(runtime)?;
    match runtime.state() {
        State::Running => Err(Status::State.because("the runtime is not finalizing")),
        State::Finalized => Err(runtime.late()),
        State::PreFinalizing | State::Finalizing => Ok(runtime),
    }
}

/// Writes `text` to stderr as a line of the library's: in one piece, `rtfinalize: ` before it, without control
/// characters, and without waiting for a reader.
///
/// Nothing is written when descriptor 2 is not stderr: when it was closed as the process started, or is another
/// file by now.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`, also if nothing was written; `RT_ERR_NULL`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
///
/// CPython: `PySys_WriteStderr`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_tell(text: *const c_char) -> rt_status {
    boundary(|| {
        crate::io::tell(format_args!("rtfinalize: {}", named(text)?));
        Ok(Status::Ok)
    })
}

/// How many threads of the process are the library's own, which watch finalizations: for a host that counts
/// its threads, or warns of them before a `fork`.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// Returns a number.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_watch_threads() -> u32 {
    crate::finalize::watchdog::number::now()
}

/// Writes at most `size` bytes of UTF-8 to `text`, without a zero at their end, and returns how many: where in the
/// host's own code the finalizing thread is (`in Cache.__del__ (cache.py:12)`).
///
/// It runs on a thread of the library's while the finalizing thread goes on or is stuck, anywhere. So it must
/// neither wait, allocate, nor use thread-locals, and call nothing that does, this library neither.
pub type rt_describe_callback = Option<extern "C" fn(text: *mut c_char, size: usize) -> usize>;

/// Sets what adds to lines about a callback or handler of the runtime that takes long where it is, and to the
/// report's entry about it where it was when the line was said or its time was up. NULL: nothing does.
///
/// There is one such function in the process: it replaces that of another runtime.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`.
///
/// CPython: `faulthandler.dump_traceback_later`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_describe_work(
    runtime: *mut rt_runtime,
    describe: rt_describe_callback,
) -> rt_status {
    // SAFETY: a `c_char` and a byte differ in nothing but their sign.
    let describe = describe.map(|describe| unsafe {
        std::mem::transmute::<
            extern "C" fn(*mut c_char, usize) -> usize,
            crate::finalize::watchdog::host_words::Describe,
        >(describe)
    });
    boundary(|| {
        crate::finalize::watchdog::host_words::set(runtime_of(runtime)?.id(), describe);
        Ok(Status::Ok)
    })
}

/// Says that a handler registered as `RT_WORK_BRIEF` is about to wait for something after all, or to run code that
/// may: from now on it is watched, if anybody is to be told.
///
/// Thread: the finalizing one, inside the handler. Stage: any; without a finalization nothing is done.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_may_wait(runtime: *mut rt_runtime) -> rt_status {
    boundary(|| {
        crate::finalize::watchdog::begin_late(&*runtime_of(runtime)?);
        Ok(Status::Ok)
    })
}

fn named(name: *const c_char) -> Result<String> {
    required(name)?;
    Ok(text(name)?.unwrap_or_default().to_owned())
}
