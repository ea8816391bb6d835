//! Static tracepoints (USDT), for `perf`, `bpftrace` and `gdb`: what a finalization does, seen from
//! outside, in a deployed program. Each is one `nop` and a note in the ELF file; nothing is computed
//! for them.
//!
//! The provider is `rtfinalize`. A runtime is told by its number (`rt_runtime_id`, 0 is the default
//! one), a phase by its number and its name.
//!
//! | probe | arguments |
//! |---|---|
//! | `phase_begin` | runtime, phase, phase's name, runtime's name, its length |
//! | `phase_end` | runtime, phase, phase's name, work done in it so far, µs this time |
//! | `overrun` | runtime, phase, phase's name, name of what has used up its time, its length, µs |
//! | `recovery` | runtime, address of the lock, system's number of the owner that never runs again or 0 |
//! | `leak` | runtime, kind (`RT_LEAK_*`), whose, its length, bytes |
//! | `late_call` | runtime, how many there were with this one |
//!
//! A phase's name ends with a NUL: `str(arg2)`. Other texts do not: `str(arg3, arg4)`.
//!
//! One function a probe, never inlined: a tracer then finds each in one place.

use crate::phase::Phase;
use crate::report::ledger::Leak;
#[cfg(target_os = "linux")]
use probe::probe;

/// Where there is no ELF file there is no note to write.
#[cfg(not(target_os = "linux"))]
macro_rules! probe {
    ($provider:ident, $name:ident $(, $argument:expr)*) => {
        $( let _ = $argument; )*
    };
}

/// A phase begins, or begins again in another pass.
#[inline(never)]
pub(crate) fn phase_begin(runtime: u32, runtime_name: &str, phase: Phase) {
    let name = phase.name_with_nul().as_ptr();
    let (who, len) = (runtime_name.as_ptr(), runtime_name.len());
    probe!(rtfinalize, phase_begin, runtime, phase as u32, name, who, len);
}

/// A phase ends: with the work done in all its passes, and the time of this one.
#[inline(never)]
pub(crate) fn phase_end(runtime: u32, phase: Phase, work: u64, us: u64) {
    let name = phase.name_with_nul().as_ptr();
    probe!(rtfinalize, phase_end, runtime, phase as u32, name, work, us);
}

/// Something has used up its time, and has been waited for this long: a thread, a guard, a callback.
#[inline(never)]
pub(crate) fn overrun(runtime: u32, phase: Phase, what: &str, us: u64) {
    let name = phase.name_with_nul().as_ptr();
    let (what, len) = (what.as_ptr(), what.len());
    probe!(rtfinalize, overrun, runtime, phase as u32, name, what, len, us);
}

/// A lock was taken over from an owner that will never run again.
#[inline(never)]
pub(crate) fn recovery(runtime: u32, lock: usize, owner_tid: u32) {
    probe!(rtfinalize, recovery, runtime, lock, owner_tid);
}

/// Something is leaked on purpose.
#[inline(never)]
pub(crate) fn leak(runtime: u32, leak: &Leak) {
    let (name, len) = (leak.name.as_ptr(), leak.name.len());
    probe!(rtfinalize, leak, runtime, leak.kind as u32, name, len, leak.bytes);
}

/// A call was refused because it came too late.
#[inline(never)]
pub(crate) fn late_call(runtime: u32, count: u64) {
    probe!(rtfinalize, late_call, runtime, count);
}
