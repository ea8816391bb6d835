//! Phases and the handlers on them.

use super::boundary::{boundary, give, text, versioned};
use super::callback::call_of;
use super::runtime::{rt_runtime, runtime_of};
use super::{rt_callback, rt_status};
use crate::phase::Phase;
use crate::runtime::handlers::{HandlerOptions, Work};
use crate::status::{Result, Status};
use libc::{c_char, c_void};

/// Wait for open guards. Repeats.
pub const RT_PHASE_GUARDS: u32 = 1;
/// Wait for non-daemon threads to detach. Repeats.
pub const RT_PHASE_THREADS: u32 = 2;
/// Drain pending calls. Repeats.
pub const RT_PHASE_PENDING: u32 = 3;
/// Run at-exit callbacks, last in first out. Repeats.
pub const RT_PHASE_ATEXIT: u32 = 4;
/// Finalize child runtimes.
pub const RT_PHASE_CHILDREN: u32 = 5;
/// Flush writers while everything still works.
pub const RT_PHASE_FLUSH_EARLY: u32 = 6;
/// The point of no return: stop the other threads.
pub const RT_PHASE_FREEZE: u32 = 7;
/// Flush again, now that nobody can add a byte, with lock recovery.
pub const RT_PHASE_FLUSH_FROZEN: u32 = 8;
/// The host clears its state (modules, the collector); tracked objects are finalized.
pub const RT_PHASE_FINALIZE: u32 = 9;
/// Flush what the finalizers wrote.
pub const RT_PHASE_FLUSH_LATE: u32 = 10;
/// Deallocate tracked objects: C data only.
pub const RT_PHASE_DEALLOC: u32 = 11;
/// Cancel in-flight operations, or leak them.
pub const RT_PHASE_OVERLAPPED: u32 = 12;
/// Reclaim the states of threads that have exited or can never run.
pub const RT_PHASE_RECLAIM: u32 = 13;
/// Low-level exit functions, last in first out.
pub const RT_PHASE_EXIT_FUNCTIONS: u32 = 14;

/// The name of a phase, as reports use it. Static; NULL if there is no such phase.
///
/// Thread: any. Stage: any. Signal handler: safe.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_phase_name(phase: u32) -> *const c_char {
    Phase::from_number(phase)
        .map_or(std::ptr::null(), |phase| phase.name_with_nul().as_ptr().cast())
}

/// Hangs a handler on a phase of a runtime's finalization.
///
/// Handlers with a negative `order` run before the phase's own work, the others after it; smaller
/// orders first, equal ones in the order of registration. In a phase before the freeze a handler runs
/// in every pass (there is another one whenever work came in meanwhile); it returns `RT_AGAIN` if it did
/// something, so that another pass looks. `name` (may be
/// NULL) is copied, for the report. `arg` stays the host's. `*id` (`id` may be NULL) is for
/// `rt_unregister`.
///
/// Thread: any. Stage: until the phase can no longer run; from inside a handler too (one for the phase
/// that runs is called if its turn by `order` is still to come). Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_INVALID` (no such phase), `RT_ERR_HANDLE`,
/// `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING`.
///
/// CPython: the body of `Py_FinalizeEx`, taken apart.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_phase_add_handler(
    runtime: *mut rt_runtime,
    phase: u32,
    order: i32,
    name: *const c_char,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
) -> rt_status {
    let place = || Ok(HandlerOptions { order, ..HandlerOptions::default() });
    register(runtime, phase, name, callback, arg, id, place)
}

/// Work that holds the shutdown up until it is done. The default.
pub const RT_WORK_BLOCK: u32 = 1;
/// Work of which nothing begins any more: what has begun is finished, the rest is left out.
pub const RT_WORK_SKIP: u32 = 2;
/// Work that is not waited for: a daemon thread; a handler on a thread of the library's.
///
/// Such a handler is started in its turn (one on a phase that repeats in the first pass only), and
/// finalization goes on at once: what is ordered after it comes after its start, not after its end.
/// Its thread has all signals blocked but those of its own faults, and is a stranger to the runtime: it may attach while other
/// threads may, and meets what they meet. Everything of the host's that the finalization tears down may
/// be gone under it, and so may be the process. It may finalize no runtime. The report says what became
/// of it by the end of the finalization: ended, failed, or still running; then the runtime is not
/// restartable. Failing, and finding no thread to run on, do not change the finalization's status.
pub const RT_WORK_CONTINUE: u32 = 3;
/// A handler's work that never waits for anything. It is run as by `RT_WORK_BLOCK`, but nothing watches it:
/// where all handlers are like this, and nobody asked for a deadline's end, a finalization begins no thread.
pub const RT_WORK_BRIEF: u32 = 4;

/// Where in its phase a handler runs. Zero in a field is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_handler_options {
    /// `sizeof(rt_handler_options)`.
    pub struct_size: usize,
    /// As for `rt_phase_add_handler`: negative is before the phase's own work, smaller is first.
    pub order: i32,
    /// `RT_WORK_BLOCK`; or `RT_WORK_SKIP`: it is left out, and the report names it, once the phase's
    /// budget or the deadline has passed before its turn; that is no failure; or `RT_WORK_CONTINUE`: it
    /// is not waited for; or `RT_WORK_BRIEF`: it does not wait itself. 0 is `RT_WORK_BLOCK`.
    pub work: u32,
    /// Names of handlers of the same phase that run before this one: an array that ends with NULL;
    /// NULL for none.
    pub after: *const *const c_char,
    /// Names of handlers of the same phase that run after this one, in the same form.
    pub before: *const *const c_char,
}

const OPTIONS_FIRST_VERSION: usize = size_of::<rt_handler_options>();

/// As `rt_phase_add_handler`, with dependencies on other handlers of the phase by their names.
///
/// A dependency beats `order`, except that a handler stays on its side of the phase's own work. A
/// name may be registered later, or never: then it means nothing; if several handlers have it, it means
/// all of them. A dependency that closes a cycle, also one through the phase's own work, is refused,
/// and `rt_last_error` prints the cycle; nothing is registered then. The names are copied. `options` may
/// be NULL.
///
/// Thread: any. Stage: as `rt_phase_add_handler`. Signal handler: limited.
///
/// Returns as `rt_phase_add_handler`, and `RT_ERR_CYCLE`, `RT_ERR_STRUCT_SIZE`,
/// `RT_ERR_INVALID` (a work policy; `RT_WORK_CONTINUE` on a runtime with `RT_RUNTIME_NO_DAEMONS`).
///
/// CPython: none; the order inside `Py_FinalizeEx` is written down in its code.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_phase_add_handler_ex(
    runtime: *mut rt_runtime,
    phase: u32,
    name: *const c_char,
    options: *const rt_handler_options,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
) -> rt_status {
    register(runtime, phase, name, callback, arg, id, || {
        let mut place = HandlerOptions::default();
        if !options.is_null() {
            // SAFETY: by the header; integers and pointers are zeroable.
            let given = unsafe { versioned(options, OPTIONS_FIRST_VERSION)? };
            let unknown = |work| Status::Invalid.because(format!("there is no work policy {work}"));
            place.work = match given.work {
                0 => Work::Block,
                number => Work::from_number(number).ok_or_else(|| unknown(number))?,
            };
            place.order = given.order;
            place.after = names(given.after)?;
            place.before = names(given.before)?;
        }
        Ok(place)
    })
}

/// What both registrations do; `place` says where in the phase.
fn register(
    runtime: *mut rt_runtime,
    phase: u32,
    name: *const c_char,
    callback: rt_callback,
    arg: *mut c_void,
    id: *mut u64,
    place: impl FnOnce() -> Result<HandlerOptions>,
) -> rt_status {
    boundary(|| {
        let phase = Phase::from_number(phase)
            .ok_or_else(|| Status::Invalid.because(format!("there is no phase {phase}")))?;
        let call = call_of(callback, arg)?;
        let name = text(name)?.unwrap_or("unnamed handler");
        let registered = runtime_of(runtime)?.add_handler_with(phase, name, place()?, call)?;
        if !id.is_null() {
            give(id, registered)?;
        }
        Ok(Status::Ok)
    })
}

/// Copies an array of names that ends with NULL.
fn names(mut array: *const *const c_char) -> Result<Box<[Box<str>]>> {
    let mut copied: Vec<Box<str>> = Vec::new();
    if array.is_null() {
        return Ok(copied.into());
    }
    // SAFETY: by the header the array ends with NULL, and is read no further.
    while let Some(name) = text(unsafe { *array })? {
        copied.push(name.into());
        // SAFETY: as above: this element was not the last.
        array = unsafe { array.add(1) };
    }
    Ok(copied.into())
}

/// How long a handler or callback that waits for others may still do so in the present phase, in
/// microseconds: what is left of the phase's budget, or of the deadline. Negative means no limit, 0 that
/// the time is up: a host's own wait then ends, and says so with `rt_note_blocked`.
///
/// Thread: any. Stage: any; while the runtime runs there is no limit. Signal handler: limited.
///
/// Returns a time; -1 also for a wrong handle.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_time_left(runtime: *mut rt_runtime) -> i64 {
    let mut left_us = -1;
    boundary(|| {
        left_us = runtime_of(runtime)?.phase_deadline().left_us();
        Ok(Status::Ok)
    });
    left_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_constant() {
        let constants = [
            RT_PHASE_GUARDS,
            RT_PHASE_THREADS,
            RT_PHASE_PENDING,
            RT_PHASE_ATEXIT,
            RT_PHASE_CHILDREN,
            RT_PHASE_FLUSH_EARLY,
            RT_PHASE_FREEZE,
            RT_PHASE_FLUSH_FROZEN,
            RT_PHASE_FINALIZE,
            RT_PHASE_FLUSH_LATE,
            RT_PHASE_DEALLOC,
            RT_PHASE_OVERLAPPED,
            RT_PHASE_RECLAIM,
            RT_PHASE_EXIT_FUNCTIONS,
        ];
        assert_eq!(constants, Phase::ALL.map(|phase| phase as u32));
    }
}
