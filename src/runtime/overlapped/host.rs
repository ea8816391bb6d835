//! What calls the host: operations of its own, by callbacks, and warnings.

use super::provider::{Progress, Provider, Why};
use crate::status::Result;
use crate::sync::Deadline;
use crate::sys::loaded_code;
use crate::thread::host_call::{self, Stopped};
use libc::{c_char, c_int, c_void};
use std::ffi::CString;

/// How the library asks for an operation of the host's.
#[derive(Clone, Copy)]
pub struct Callbacks {
    /// Asks the kernel to cancel. Optional: without it the operation cannot be cancelled.
    pub cancel: Option<unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int>,
    /// Waits up to `timeout_us` (0 only looks): 0 once the operation is done, 1 while it is pending;
    /// negative if that cannot be known.
    pub wait: unsafe extern "C-unwind" fn(arg: *mut c_void, timeout_us: i64) -> c_int,
    /// Closes the handle, once the operation is done. Optional.
    pub close: Option<unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int>,
    /// Frees the memory, after `close`. Optional.
    pub free: Option<unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int>,
    /// Passed to all of them.
    pub arg: *mut c_void,
    /// How much of the host's memory the kernel may touch, for the ledger.
    pub bytes: u64,
}

// SAFETY: the host promises, by making an operation of them, that they may be called from any thread
// that uses it, and from several at once.
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// Whether the code of one of them is gone: then neither can the operation be ended nor what the
    /// host lent be given back.
    fn is_unloaded(&self) -> bool {
        let others = [self.cancel, self.close, self.free].into_iter().flatten();
        others.into_iter().any(|callback| loaded_code::is_gone(callback as *const ()))
    }
}

impl Provider for Callbacks {
    fn submit(&self) -> Result<()> {
        // The host has started it.
        Ok(())
    }

    fn cancel(&self) {
        if let Some(cancel) = self.cancel {
            // Whether it worked is what `wait` tells.
            // SAFETY: by the promise above.
            let _ = host_call::run(cancel as *const (), || unsafe { cancel(self.arg) });
        }
    }

    fn wait(&self, deadline: Deadline) -> Progress {
        let timeout_us =
            deadline.left().map_or(-1, |left| i64::try_from(left.as_micros()).unwrap_or(i64::MAX));
        if self.is_unloaded() {
            return Progress::Pending(Why::Unloaded);
        }
        // SAFETY: by the promise above.
        match host_call::run(self.wait as *const (), || unsafe {
            (self.wait)(self.arg, timeout_us)
        }) {
            Ok(0) => Progress::Done(Ok(0)),
            Ok(1..) => Progress::Pending(Why::InFlight),
            Err(Stopped::Unloaded) => Progress::Pending(Why::Unloaded),
            // A callback that ended its thread said nothing.
            Ok(_) | Err(Stopped::EndedThread) => Progress::Pending(Why::WaitFailed),
        }
    }

    fn close(&self) {
        for callback in [self.close, self.free].into_iter().flatten() {
            // Nothing is left to do about a failure: the operation is over either way.
            // SAFETY: by the promise above.
            let _ = host_call::run(callback as *const (), || unsafe { callback(self.arg) });
        }
    }

    fn answers_when_leaked(&self) -> bool {
        // The runtime is gone by then; the host's code must not run any more.
        false
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn data(&self) -> Option<&[u8]> {
        None
    }
}

/// What a [`Warning`] is about: the operation cannot be freed, for it is in flight.
pub const WARN_IN_FLIGHT: i32 = 1;

/// Whom to tell of an operation that cannot be freed.
#[derive(Clone, Copy)]
pub struct Warning {
    /// Called with `arg`, the number of the warning, and the operation's name.
    pub function: unsafe extern "C-unwind" fn(arg: *mut c_void, warning: i32, name: *const c_char),
    /// Passed to it.
    pub arg: *mut c_void,
}

// SAFETY: the host promises, by giving it, that it may be called from any thread that deallocates.
unsafe impl Send for Warning {}
// SAFETY: as above.
unsafe impl Sync for Warning {}

impl Warning {
    pub(super) fn tell(self, warning: i32, operation: &str) {
        let name = CString::new(operation).unwrap_or_default();
        let pointer = name.as_ptr();
        // A warning that fails changes nothing.
        // SAFETY: by the promise above; the name outlives the call.
        let call = || unsafe { (self.function)(self.arg, warning, pointer) };
        let _ = host_call::run(self.function as *const (), call);
    }
}
