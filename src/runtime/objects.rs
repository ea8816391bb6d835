//! Tracked objects: native objects that a host wants finalized and deallocated with its runtime.
//!
//! Cython's `__dealloc__` and CPython's `tp_dealloc` run while other objects are half gone, and reach
//! into them. Here there are two passes, as PEP 442 has two slots: `finalize`, in which everything still
//! works, for all objects; then `dealloc`, in which only C data may be touched, for each. A call into
//! the library from inside `dealloc` is refused and counted, with the object's name.
//!
//! The order is last in, first out; but an object that depends on another goes before it. What a
//! runaway thread may touch is finalized, and then kept for good (law 1).

mod dependencies;
#[cfg(test)]
mod model;
mod names;
mod refusals;
mod slab;
mod tally;

pub use refusals::{Refusals, refused_calls};
pub(crate) use slab::Objects;

use crate::runtime::Runtime;
use crate::status::{Result, Status};
use crate::sync::Arc;
use crate::thread::host_call::{ObjectCalls, Outcome};
use crate::thread::this_thread;
use slab::{Stage, Taken};

/// Names an object to its runtime, as long as it is tracked. Never 0.
pub type ObjectHandle = u64;

impl Runtime {
    /// Tracks an object: it is finalized, and then deallocated, before those tracked earlier.
    ///
    /// # Errors
    /// `Finalizing` once the finalize pass is over; `NoMemory`.
    pub fn track(&self, name: &str, calls: ObjectCalls) -> Result<ObjectHandle> {
        let mut registrations = self.registrations.lock();
        if registrations.objects.closed {
            drop(registrations);
            return Err(self.late());
        }
        registrations.objects.track(name, calls)
    }

    /// `dependent` is finalized and deallocated before `on`, whichever was tracked first.
    ///
    /// # Errors
    /// `Cycle`, with the cycle; `State` if one of them is finalized already; `Handle`.
    pub fn depend(&self, dependent: ObjectHandle, on: ObjectHandle) -> Result<()> {
        self.registrations.lock().objects.depend(dependent, on)
    }

    /// Stops tracking an object: from now on it is its host's to finalize and free.
    ///
    /// # Errors
    /// `Handle`.
    pub fn untrack(&self, object: ObjectHandle) -> Result<()> {
        self.registrations.lock().objects.take(object).map(drop)
    }

    /// Finalizes and deallocates an object now.
    ///
    /// # Errors
    /// `State` if another depends on it or it is being finalized; `Callback` if one of its callbacks
    /// failed, and it is gone all the same; `Finalizing` for a thread other than the finalizing one
    /// once the runtime is frozen; `Handle`.
    pub fn dispose(&self, object: ObjectHandle) -> Result<Status> {
        if self.gate().is_shut() && !self.gate().is_finalizer(this_thread::id()?) {
            return Err(self.late());
        }
        let mut failed = None;
        let (stage, subject) = {
            let mut registrations = self.registrations.lock();
            let (stage, subject) =
                (registrations.objects.stage(object)?, registrations.objects.get(object)?);
            if stage == Stage::Finalizing {
                let what = format!("'{}' is being finalized at this moment", subject.name);
                return Err(Status::State.because(what));
            }
            if let Some(dependent) = registrations.objects.dependent_name(object)? {
                let what = format!("'{dependent}' depends on '{}' and is not gone", subject.name);
                return Err(Status::State.because(what));
            }
            if stage == Stage::Waiting {
                registrations.objects.begin(object)?;
            }
            (stage, subject)
        };
        if stage == Stage::Waiting {
            let outcome = subject.calls.finalize();
            if outcome.failed() {
                failed = Some(format!("finalize of '{}' {}", subject.name, outcome.text()));
                self.note_failure(&subject.name, format!("finalize {}", outcome.text()));
            }
            let mut registrations = self.registrations.lock();
            if outcome == RESURRECTED {
                return registrations.objects.wait_again(object).map(|()| Status::Resurrected);
            }
            if !registrations.objects.finished(object)? {
                return Ok(Status::Leaked);
            }
        }
        let taken = self.registrations.lock().objects.take(object)?;
        let outcome = self.deallocate(&taken);
        if outcome.failed() {
            failed = Some(format!("dealloc of '{}' {}", taken.name, outcome.text()));
            self.note_failure(&taken.name, format!("dealloc {}", outcome.text()));
        }
        failed.map_or(Ok(Status::Ok), |what| Err(Status::Callback.because(what)))
    }

    /// Calls the object's dealloc, and notes the calls it made under its name.
    pub(crate) fn deallocate(&self, object: &Taken) -> Outcome {
        let refusals = Refusals::default();
        let outcome = refusals::while_deallocating(&refusals, || object.calls.dealloc());
        let calls = refusals.into_calls();
        if !calls.is_empty() {
            let mut registrations = self.registrations.lock();
            for (call, times) in calls {
                registrations.objects.violations.add((Arc::clone(&object.name), call), times);
            }
        }
        outcome
    }
}

/// What a finalize returns that brought its object back to life.
pub(crate) const RESURRECTED: Outcome = Outcome::Returned(Status::Resurrected as i32);
