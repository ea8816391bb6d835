//! What a host can set for a finalization.

use super::boundary::{boundary, os_text, text, versioned};
use super::event::{listener_of, rt_event_callback};
use super::rt_status;
use super::runtime::{rt_runtime, runtime_of};
use crate::phase::Phase;
use crate::runtime::environment;
use crate::runtime::options::{Options, Overrun};
use crate::status::{Result, Status};
use libc::{c_char, c_void};

/// Settings of a finalization: for one (`rt_finalize`), or for a life of a runtime
/// (`rt_runtime_set_options`). The environment's `RTFINALIZE_DEADLINE` and `RTFINALIZE_GRACE` (`5s`,
/// `500ms`) win over them. Zero in a field takes the default; so `{ .struct_size = sizeof options }`
/// is a good start.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_finalize_options {
    /// `sizeof(rt_finalize_options)`.
    pub struct_size: usize,
    /// The time all phases together may take, in microseconds. Negative, and the default:
    /// no limit for the phases before the freeze and for destinations without room. The library's own
    /// waits end by then, those before the freeze a quarter earlier (500 ms at most), so that there is
    /// time to stop threads and to flush; `overrun` says what happens about what they waited for. A
    /// host's callback is never interrupted; it is reported as an overrun when its phase's budget is
    /// spent, when the time of the phases before the freeze is over, and when the deadline passes. With
    /// `RT_OVERRUN_EXIT` the process ends at the deadline, whatever the finalizing thread is doing then.
    pub deadline_us: i64,
    /// The time the finalizing thread gives, in all, to threads that hold a lock and might still let go
    /// of it, in microseconds. Default 1 s. Must not be negative. A destination without room, whose
    /// writer no other thread holds, does not use it up: it is waited for until the deadline, or until the
    /// budget of the phase (`rt_runtime_set_budget`) is spent; with neither as long as it takes.
    pub grace_us: i64,
    /// How long a wait for threads, locks or destinations, or a callback, may take before a line on stderr
    /// names what is waited for, in microseconds; further lines come at growing intervals. Negative: never.
    /// The default is 5 s if stderr is a terminal or there is a deadline, and never if neither is so.
    pub notice_us: i64,
    /// How long a second thread that calls finalize waits for the first, in microseconds. Default
    /// 10 s. Must not be negative.
    pub join_us: i64,
    /// How often the passes before `children` may go round. Default 1000.
    pub max_passes: u32,
    /// What is done about what runs past its time: one of `RT_OVERRUN_*`. Default `RT_OVERRUN_SKIP`.
    pub overrun: u32,
    /// What the process ends with by `RT_OVERRUN_EXIT`. Default 120, CPython's for output that was
    /// lost; so it cannot be 0, which stands for success.
    pub exit_code: i32,
    /// Must be 0.
    pub reserved: u32,
    /// Hears what happens (`rt_event_callback`), or NULL. A child that its parent finalizes and that
    /// has none of its own tells its parent's.
    pub on_event: rt_event_callback,
    /// What `on_event` is called with. The host's; it must stay valid until the finalization returned.
    pub event_arg: *mut c_void,
}

pub(super) const OPTIONS_FIRST_VERSION: usize = 48;

/// Sets how long the library's own waits in one phase may last, in microseconds, for this life of
/// the runtime: of a flush phase those for room at a destination too, and of every phase those that
/// callbacks sit in. Negative means no limit before the freeze; from the early flush on it means the default.
/// A callback of the host's in that phase that runs on when the budget is spent is not interrupted but
/// reported as an overrun (`RT_EVENT_OVERRUN`); without a call of this function only the deadline does that.
///
/// Thread: any. Stage: before finalization of the runtime begins; later it has no effect.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`; `RT_ERR_INVALID` if there is no such phase.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_set_budget(
    runtime: *mut rt_runtime,
    phase: u32,
    budget_us: i64,
) -> rt_status {
    boundary(|| {
        let phase = Phase::from_number(phase)
            .ok_or_else(|| Status::Invalid.because(format!("there is no phase {phase}")))?;
        let runtime = runtime_of(runtime)?;
        runtime.configure(|options| options.set_budget(phase, budget_us));
        Ok(Status::Ok)
    })
}

/// Sets the options of this life of the runtime: `rt_finalize_ex` goes by them, `rt_finalize` too
/// where its own say nothing, and so does a parent that finalizes this runtime.
///
/// They replace those set before: zero in a field is the default again. Budgets of phases
/// (`rt_runtime_set_budget`) stay. The struct is copied.
///
/// Thread: any. Stage: before finalization of the runtime begins; later it has no effect.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_INVALID` (an
/// option).
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_runtime_set_options(
    runtime: *mut rt_runtime,
    options: *const rt_finalize_options,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header; every field is an integer or a pointer.
        let given = unsafe { versioned(options, OPTIONS_FIRST_VERSION)? };
        let runtime = runtime_of(runtime)?;
        let fresh = merged(Options::default(), &given)?;
        runtime.configure(|options| {
            let Options { budgets_us, callbacks_us, .. } = *options;
            *options = Options { budgets_us, callbacks_us, ..fresh };
        });
        Ok(Status::Ok)
    })
}

/// Sets one of the options of this life of the runtime by a text, as a command line or a file of settings
/// has it: `name` is `RTFINALIZE_DEADLINE`, `RTFINALIZE_GRACE` or `RTFINALIZE_REPORT`, and `text` what
/// the environment's variable of that name takes: a time (`5s`, `1.5s`, `500ms`), or `text`, `json`,
/// `trace` or `html` with `:PATH` for a file. The environment's own wins.
///
/// In PATH `%p` is the process number and `%%` a percent sign; no other percent sign may stand there. A
/// regular file, also behind a link, is written aside and renamed into its place, with the permissions it
/// had, so that nobody reads half of a report; where its folder or its owner does not allow that, or it has
/// further names, it is written in place. `/dev/stdout`, `/dev/stderr` and `/dev/fd/N` are the descriptors.
/// What has a reader is waited for until the deadline, for 1 s at most. A report that cannot be written costs
/// a line on stderr, and is told by `RT_UNREPORTED` and `rt_report_unreported`.
///
/// Thread: any. Stage: before finalization of the runtime begins; later it has no effect.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_UTF8` (the name), `RT_ERR_INVALID` (no
/// such setting, or not what it takes: `rt_last_error` has a text for whoever wrote it),
/// `RT_ERR_NO_MEMORY`.
///
/// CPython: its `-X NAME=VALUE`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_runtime_set_text(
    runtime: *mut rt_runtime,
    name: *const c_char,
    value: *const c_char,
) -> rt_status {
    boundary(|| {
        let name = text(name)?.ok_or_else(|| Status::Null.error())?;
        let value = os_text(value)?;
        let runtime = runtime_of(runtime)?;
        let mut result = Ok(());
        runtime.configure(|options| result = environment::set(options, name, value));
        result.map_err(|why| Status::Invalid.because(why))?;
        Ok(Status::Ok)
    })
}

/// The deadline that a finalization of the runtime would have if it began now, in microseconds: the
/// environment's, or what was set for this life of it. Negative means no limit.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns a time; -1 also for a wrong handle.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_deadline(runtime: *mut rt_runtime) -> i64 {
    let mut deadline_us = -1;
    boundary(|| {
        deadline_us = environment::deadline_us(&runtime_of(runtime)?.options());
        Ok(Status::Ok)
    });
    deadline_us
}

/// The grace that a finalization of the runtime would have if it began now, in microseconds: the environment's, or
/// what was set for this life of it. A host whose own files have locks gives their owners as long.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns a time; -1 for a wrong handle.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_grace(runtime: *mut rt_runtime) -> i64 {
    let mut grace_us = -1;
    boundary(|| {
        grace_us = environment::grace_us(&runtime_of(runtime)?.options());
        Ok(Status::Ok)
    });
    grace_us
}

/// When the lines on stderr would begin that name what a finalization waits for: those of a host's own waits
/// can begin then, too.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns microseconds after the wait's beginning; -1 for never, and for a handle that is none.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_runtime_notice(runtime: *mut rt_runtime) -> i64 {
    let mut notice_us = -1;
    boundary(|| {
        notice_us = environment::notice_us(&runtime_of(runtime)?.options());
        Ok(Status::Ok)
    });
    notice_us
}

/// The runtime's own options, with what the call gives in their place.
pub(super) fn merged(mut options: Options, given: &rt_finalize_options) -> Result<Options> {
    let invalid = |what: &'static str| Err(Status::Invalid.because(what));
    if given.grace_us < 0 {
        return invalid("grace_us is negative; the grace must be bounded");
    }
    if given.join_us < 0 {
        return invalid("join_us is negative; the wait must be bounded");
    }
    if given.reserved != 0 {
        return invalid("reserved is not 0");
    }
    if given.overrun != 0 {
        let unknown = || Status::Invalid.because(format!("overrun is {}", given.overrun));
        options.overrun = Overrun::from_number(given.overrun).ok_or_else(unknown)?;
    }
    if given.exit_code != 0 {
        options.exit_code = given.exit_code;
    }
    if let Some(listener) = listener_of(given.on_event, given.event_arg) {
        options.on_event = Some(listener);
    }
    let set = |field: &mut i64, value: i64| {
        if value != 0 {
            *field = value;
        }
    };
    set(&mut options.deadline_us, given.deadline_us);
    set(&mut options.grace_us, given.grace_us);
    set(&mut options.notice_us, given.notice_us);
    set(&mut options.join_us, given.join_us);
    if given.max_passes != 0 {
        options.max_passes = given.max_passes;
    }
    Ok(options)
}
