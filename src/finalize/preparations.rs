//! Memory for a finalization.
//!
//! What it allocates is small, but much of it cannot fail without ending the process (see [`memory`](crate::sys::memory)).
//! So before a finalization begins it is known that there is room for what is registered, in the heap or in what is
//! reserved behind it. Where memory is short the bytes come first: every writer is written out along a path that
//! allocates nothing. If there is not enough even so, nothing else is done, and the call can be made again.

use crate::finalize::watchdog::Watch;
use crate::runtime::Runtime;
use crate::runtime::lifecycle::State;
use crate::runtime::options::Options;
use crate::status::{Error, Result, Status};
use crate::sync::{Arc, Deadline};
use crate::sys::memory::{HALF, is_had};
use crate::thread::record::OwnerRef;

/// With less than this, memory is short: what runs meanwhile may take the rest. More than the stack of any thread that a
/// watch begins.
const MARGIN: usize = 2 << 20;

const WRITTEN: &str =
    "every accepted byte is written, and nothing else was done: free memory and finalize again";
const NOT_WRITTEN: &str = "not every accepted byte could be written, and nothing else was done: free memory and \
                           finalize again";

/// Makes sure, before anything is allocated for a finalization of `runtime`, that there is memory for it. Says whether
/// memory is short.
///
/// # Errors
/// `NoMemory`: the bytes are written as far as they could be by `until`, and nothing else was done.
pub(crate) fn make_sure(runtime: &Runtime, until: Deadline) -> Result<bool> {
    if runtime.state() != State::Running || is_had(runtime.need() + MARGIN) {
        return Ok(false);
    }
    let written = runtime.write_out(until);
    if is_had(runtime.need() + HALF) { Ok(true) } else { Err(refuse(written)) }
}

fn refuse(written: bool) -> Error {
    Status::NoMemory.because(if written { WRITTEN } else { NOT_WRITTEN })
}

/// As [`make_sure`], for these options, and begins to watch the finalization by `me`.
///
/// # Errors
/// As [`make_sure`]; also if there is no memory for the thread that would end the process at its deadline.
pub(crate) fn provide(runtime: &Arc<Runtime>, me: &OwnerRef, options: &Options) -> Result<Watch> {
    let until = until(options.grace_us, options.deadline_us);
    let short = make_sure(runtime, until)?;
    let watch = Watch::new(runtime, options, me);
    if short && watch.cannot_end_the_process() {
        // A host that wants its process to end in time must not be kept by a finalization that nobody ends.
        drop(watch);
        let written = runtime.write_out(until);
        return Err(refuse(written));
    }
    Ok(watch)
}

/// How long writing out may take.
pub(crate) fn until(grace_us: i64, deadline_us: i64) -> Deadline {
    Deadline::after_us(grace_us.max(0)).min(Deadline::after_us(deadline_us))
}

/// Where memory has become short, writes out what the writers of `runtime` hold, before there is none.
pub(crate) fn bytes_first(runtime: &Runtime, deadline: Deadline) {
    if !is_had(MARGIN) {
        runtime.write_out(deadline);
    }
}
