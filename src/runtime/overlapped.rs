//! In-flight operations: the kernel holds a pointer into their memory until it says it is done.
//!
//! CPython's counterpart is the deallocator of `_winapi.Overlapped`. It frees an operation that will
//! not be cancelled while the kernel may still write into it, or warns, with the test for "the
//! interpreter is finalizing" the wrong way round (bpo-19565). Here memory that is in flight is never
//! freed: while the runtime runs, `dealloc` warns and gives an error, and the operation stays; once
//! it finalizes, the operation is leaked on purpose and entered in the ledger.

#[cfg(unix)]
mod aio;
mod control;
mod host;
#[cfg(windows)]
mod kernel;
mod provider;
mod shelf;

pub use host::{Callbacks, WARN_IN_FLIGHT, Warning};
#[cfg(windows)]
pub use kernel::{Kind, Spec};

use crate::lock::buffered::Wait;
use crate::report::ledger::{Leak, LeakKind};
use crate::runtime::Runtime;
use crate::runtime::attachment::Attachment;
use crate::runtime::lifecycle::Gate;
use crate::runtime::waits::{self, Awaiting};
use crate::status::{Error, Result, Status};
use crate::sync::{Arc, AtomicBool, Deadline, Mutex, Ordering};
use crate::thread::record::OwnerId;
use crate::thread::this_thread;
use control::{Claimed, Control, Entry, Stage};
use provider::{Progress, Provider, Why};
use std::sync::Weak;
use std::time::Duration;

/// How long `dealloc` waits for a cancelled operation to end; while the runtime runs, twice.
pub const CANCEL_WAIT_US: i64 = 100_000;

/// A wait without a deadline looks this often whether the runtime was frozen meanwhile.
const SLICE: Duration = Duration::from_millis(100);

/// A wait callback that comes back before its time is not asked again at once.
const PAUSE: Duration = Duration::from_millis(1);

/// An operation; `control` says who may do what with it.
///
/// The provider has the memory. It is freed with the last reference once the operation has ended;
/// one that is in flight goes to the shelf instead.
pub struct Overlapped {
    name: Box<str>,
    gate: Arc<Gate>,
    runtime: Weak<Runtime>,
    provider: Arc<dyn Provider>,
    control: Control,
    submitted: AtomicBool,
    warning: Mutex<Option<Warning>>,
}

/// What became of an operation that was deallocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deallocated {
    /// It was done or could be cancelled; nothing of it is left.
    Freed,
    /// It was pending while finalizing: kept on purpose, and in the ledger.
    Leaked,
}

/// What became of an operation in its finalization phase.
pub(crate) enum Settled {
    /// Nothing is in flight, or it is in the ledger already.
    Done,
    /// It is pending, and was leaked.
    Leaked(Leak),
    /// Its callbacks' code is gone, and it was leaked.
    Unloaded(Leak),
}

impl Overlapped {
    /// An operation the host has started, by callbacks. [`submit`](Overlapped::submit) registers it.
    ///
    /// # Errors
    /// `ThreadExiting`.
    pub fn new(
        runtime: &Arc<Runtime>,
        callbacks: Callbacks,
        name: &str,
    ) -> Result<Arc<Overlapped>> {
        Overlapped::with_provider(runtime, Arc::new(callbacks), name)
    }

    /// A read of up to `size` bytes at `offset` of `fd`. [`submit`](Overlapped::submit) starts it.
    ///
    /// # Errors
    /// `BadDescriptor`, `Size`, `Invalid` (the offset), `NoMemory`, `ThreadExiting`.
    #[cfg(unix)]
    pub fn read(
        runtime: &Arc<Runtime>,
        fd: libc::c_int,
        size: usize,
        offset: i64,
        name: &str,
    ) -> Result<Arc<Overlapped>> {
        let request = aio::Request::read(fd, size, offset)?;
        Overlapped::with_provider(runtime, Arc::new(request), name)
    }

    /// A write of a copy of `data` at `offset` of `fd`. [`submit`](Overlapped::submit) starts it.
    ///
    /// # Errors
    /// As [`read`](Overlapped::read).
    #[cfg(unix)]
    pub fn write(
        runtime: &Arc<Runtime>,
        fd: libc::c_int,
        data: &[u8],
        offset: i64,
        name: &str,
    ) -> Result<Arc<Overlapped>> {
        let request = aio::Request::write(fd, data, offset)?;
        Overlapped::with_provider(runtime, Arc::new(request), name)
    }

    /// An operation of the Windows kernel. [`submit`](Overlapped::submit) starts it.
    ///
    /// # Errors
    /// `BadDescriptor`, `Size`, `NoMemory`, `ThreadExiting`.
    #[cfg(windows)]
    pub fn of_kernel(
        runtime: &Arc<Runtime>,
        spec: &Spec<'_>,
        name: &str,
    ) -> Result<Arc<Overlapped>> {
        Overlapped::with_provider(runtime, Arc::new(kernel::Request::new(spec)?), name)
    }

    fn with_provider(
        runtime: &Arc<Runtime>,
        provider: Arc<dyn Provider>,
        name: &str,
    ) -> Result<Arc<Overlapped>> {
        Ok(Arc::new(Overlapped {
            name: name.into(),
            gate: runtime.gate().clone(),
            runtime: Arc::downgrade(runtime),
            provider,
            control: Control::claimed_by(this_thread::id()?, runtime.gate().clone()),
            submitted: AtomicBool::new(false),
            warning: Mutex::new(None),
        }))
    }

    /// Registers the operation with its runtime, and starts it. Until then it is of no use.
    ///
    /// # Errors
    /// It was not started: `State` the second time, `Finalizing` once the runtime is frozen,
    /// `NoMemory`, `WouldBlock`, `BadDescriptor`, `Io`.
    pub fn submit(self: &Arc<Overlapped>) -> Result<()> {
        let runtime = self.runtime.upgrade().ok_or_else(|| Status::Finalizing.error())?;
        // Relaxed: nothing is published by it; one caller finds it unset.
        if self.submitted.swap(true, Ordering::Relaxed) {
            return Err(Status::State.because("the operation was submitted before"));
        }
        let admitted = runtime.admit_operation(self);
        let submitted = admitted.and_then(|()| self.provider.submit());
        // A finalizer that gave up on this thread has leaked it: so it stays.
        self.control.leave_claim(if submitted.is_ok() { Stage::Open } else { Stage::Ended });
        if submitted.is_err() {
            runtime.forget_operation(self);
        }
        submitted
    }

    /// Sets whom to tell when `dealloc` finds the operation in flight and the runtime not frozen.
    pub fn on_warning(&self, warning: Option<Warning>) {
        *self.warning.lock() = warning;
    }

    /// Waits until the operation is done, or until `deadline`, and returns the bytes transferred.
    ///
    /// An attached thread is outside the runtime meanwhile.
    ///
    /// # Errors
    /// `Timeout`; `Io` if it ended in an error; `Finalizing` if it is pending, the runtime is frozen
    /// and there is no deadline; `Callback` if the wait callback failed; `State` in the child of a
    /// fork; by policy, what entering the runtime gives.
    pub fn wait(&self, deadline: Deadline) -> Result<usize> {
        let look = self.ask(Deadline::after_us(0), |p| p.wait(Deadline::after_us(0)))?;
        if !look.may_end() || deadline.passed() {
            return self.answer(look, Status::Timeout);
        }
        // In a callback of a finalization: within the time of that.
        let bound = waits::bound();
        let key = std::ptr::from_ref(self).addr();
        let awaiting = Awaiting::begin(key, None, || format!("the operation '{}'", self.name));
        let answer =
            Attachment::outside_while(&self.runtime, || self.wait_outside(deadline, bound));
        if let Some(awaiting) = awaiting.filter(|_| answer.is_err()) {
            awaiting.give_up();
        }
        answer
    }

    fn wait_outside(&self, deadline: Deadline, bound: Deadline) -> Result<usize> {
        let has_end = deadline != Deadline::NEVER;
        let deadline = deadline.min(bound);
        loop {
            if !has_end && self.gate.is_shut() {
                return self.answer(Progress::Pending(Why::InFlight), Status::Finalizing);
            }
            let until = if has_end { deadline } else { deadline.min(Deadline::after(SLICE)) };
            let progress = self.ask(until, |provider| provider.wait(until))?;
            if !progress.may_end() || deadline.passed() {
                return self.answer(progress, Status::Timeout);
            }
            if let Some(left) = until.left() {
                crate::sync::sleep(PAUSE.min(left));
            }
        }
    }

    /// The bytes transferred.
    ///
    /// # Errors
    /// `InFlight` while it is pending; otherwise as [`wait`](Overlapped::wait).
    pub fn result(&self) -> Result<usize> {
        let progress = self.ask(Deadline::after_us(0), |p| p.wait(Deadline::after_us(0)))?;
        self.answer(progress, Status::InFlight)
    }

    /// The system's number for how it ended, 0 for well: an `errno`, or what `GetLastError` says.
    ///
    /// # Errors
    /// As [`result`](Overlapped::result), but `Io`.
    pub fn system_error(&self) -> Result<u32> {
        let progress = self.ask(Deadline::after_us(0), |p| p.wait(Deadline::after_us(0)))?;
        match progress {
            Progress::Done(Err(number)) => Ok(number as u32),
            Progress::Done(Ok(_)) => Ok(self.provider.remark()),
            pending => self.answer(pending, Status::InFlight).map(|_| 0),
        }
    }

    /// Whether it had ended when [`submit`](Overlapped::submit) returned, and nothing arrives at the
    /// completion port that its handle may belong to.
    pub fn sends_no_packet(&self) -> bool {
        self.provider.sends_no_packet()
    }

    /// Where its `OVERLAPPED` is; null for an operation of callbacks.
    #[cfg(windows)]
    pub fn address(&self) -> *mut libc::c_void {
        self.provider.address()
    }

    /// What an operation that reads has read.
    ///
    /// # Errors
    /// As [`result`](Overlapped::result); `Invalid` if it is not a read of the library's.
    pub fn data(&self) -> Result<&[u8]> {
        self.result()?;
        self.provider.data().ok_or_else(|| {
            Status::Invalid.because(format!("operation '{}' has no data to give", self.name))
        })
    }

    /// Asks the kernel to cancel.
    ///
    /// # Errors
    /// `InFlight` if it is pending still; it may end at any time. Otherwise as
    /// [`wait`](Overlapped::wait), but for an operation that ended, in whatever way.
    pub fn cancel(&self) -> Result<()> {
        let progress = self.ask(Deadline::after_us(0), |provider| {
            provider.cancel();
            provider.wait(Deadline::after_us(0))
        })?;
        match progress {
            Progress::Done(_) => Ok(()),
            pending => self.answer(pending, Status::InFlight).map(|_| ()),
        }
    }

    /// Frees the operation if it is done or can be cancelled, else leaks it if the runtime
    /// finalizes.
    ///
    /// # Errors
    /// `InFlight` if it is pending and the runtime is not frozen: nothing has changed. `Reentrant`
    /// from inside its own callback.
    pub fn dealloc(&self) -> Result<Deallocated> {
        let claimed =
            self.control.claim(this_thread::id()?, Deadline::after_us(2 * CANCEL_WAIT_US));
        let claim = match claimed {
            Claimed::Mine => Claim(self),
            Claimed::Ended => return Ok(Deallocated::Freed),
            Claimed::Leaked => return Ok(Deallocated::Leaked),
            Claimed::Busy => return self.refuse(Why::BeingFreed),
            Claimed::Own => return Err(self.reentrant()),
        };
        let pending = match claim.try_to_end() {
            Progress::Done(_) => return Ok(self.end()),
            // The parent's operation never ends in a child: there is nothing to come back for.
            Progress::Pending(Why::Forked) => return Ok(self.leak_and_enter(Why::Forked)),
            Progress::Pending(why) => why,
        };
        // CPython has this test the other way round: it keeps the memory while the interpreter runs
        // on, and frees it when it finalizes.
        if self.gate.is_shut() {
            return Ok(self.leak_and_enter(pending));
        }
        self.warn();
        match claim.try_to_end() {
            Progress::Done(_) => Ok(self.end()),
            Progress::Pending(why) if self.gate.is_shut() => Ok(self.leak_and_enter(why)),
            Progress::Pending(why) => self.refuse(why),
        }
    }

    fn refuse<T>(&self, why: Why) -> Result<T> {
        Err(Status::InFlight.because(format!("operation '{}': {}", self.name, why.text())))
    }

    fn warn(&self) {
        let warning = *self.warning.lock();
        if let Some(warning) = warning {
            warning.tell(WARN_IN_FLIGHT, &self.name);
        }
    }

    /// Finalization asks all operations before it waits for any.
    pub(crate) fn cancel_for_finalization(&self) {
        // Whoever has the claim has asked already, and an operation that is over needs it not.
        let _ = self.ask(Deadline::after_us(0), |provider| {
            provider.cancel();
            Progress::Pending(Why::InFlight)
        });
    }

    /// Ends the operation by `deadline`, or leaks it. `me` is the finalizing thread.
    pub(crate) fn settle_for_finalization(&self, me: OwnerId, deadline: Deadline) -> Settled {
        let claim = match self.control.claim(me, deadline) {
            Claimed::Ended | Claimed::Leaked => return Settled::Done,
            Claimed::Mine => Some(Claim(self)),
            Claimed::Busy | Claimed::Own => None,
        };
        let pending = match claim.as_ref().map(|claim| claim.settle(deadline)) {
            Some(Progress::Done(_)) => {
                self.end();
                return Settled::Done;
            }
            Some(Progress::Pending(why)) => why,
            None => Why::BeingFreed,
        };
        let mut settled = Settled::Done;
        let how = if pending == Why::Unloaded { Settled::Unloaded } else { Settled::Leaked };
        self.leak(pending, |leak| settled = how(leak));
        settled
    }

    /// Calls the provider as one of its users, once no claim is in the way, or tells how far the
    /// operation is known to be.
    fn ask(
        &self,
        deadline: Deadline,
        call: impl FnOnce(&dyn Provider) -> Progress,
    ) -> Result<Progress> {
        match self.control.enter(this_thread::id()?, deadline) {
            Entry::User(_user) => Ok(self.control.note(call(&*self.provider))),
            Entry::Leaked if self.provider.answers_when_leaked() => {
                Ok(self.control.note(call(&*self.provider)))
            }
            Entry::Known(outcome) => Ok(Progress::Done(outcome)),
            Entry::Busy => Ok(Progress::Pending(Why::BeingFreed)),
            Entry::Own => Err(self.reentrant()),
            Entry::Ended | Entry::Leaked => Err(Status::Finalizing.error()),
        }
    }

    fn reentrant(&self) -> Error {
        Status::Reentrant
            .because(format!("operation '{}', from inside its own callback", self.name))
    }

    /// Under a claim: the operation is done and no user is inside.
    fn end(&self) -> Deallocated {
        // The finalizer may have leaked it since; then nothing may be closed.
        if self.control.stage() != Stage::Leaked {
            self.provider.close();
        }
        let stage = self.control.leave_claim(Stage::Ended);
        self.forget();
        if stage == Stage::Leaked { Deallocated::Leaked } else { Deallocated::Freed }
    }

    fn leak(&self, why: Why, enter: impl FnOnce(Leak)) {
        self.control.leak(|| {
            shelf::keep(self.provider.clone());
            enter(Leak {
                kind: LeakKind::Overlapped,
                name: self.name.to_string(),
                bytes: self.provider.bytes(),
                reason: why.text().to_owned(),
            });
        });
    }

    /// Leaks the operation, and enters it in its runtime's ledger.
    fn leak_and_enter(&self, why: Why) -> Deallocated {
        let runtime = self.runtime.upgrade();
        self.leak(why, |leak| {
            if let Some(runtime) = &runtime {
                runtime.enter_leak(leak);
            }
        });
        self.forget();
        Deallocated::Leaked
    }

    /// In the child of a `fork`: threads that are `gone` have left it.
    pub(crate) fn forked(&self, gone: impl Fn(OwnerId) -> bool) {
        self.control.forked(gone);
    }

    fn forget(&self) {
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.forget_operation(self);
        }
    }

    fn answer(&self, progress: Progress, if_pending: Status) -> Result<usize> {
        let name = || format!("operation '{}'", self.name);
        match progress {
            Progress::Done(Ok(count)) => Ok(count),
            Progress::Done(Err(errno)) => {
                let text = std::io::Error::from_raw_os_error(errno);
                Err(Status::Io.because(format!("{}: {text}", name())))
            }
            Progress::Pending(why) if why.status() == Status::InFlight => {
                Err(if_pending.because(name()))
            }
            Progress::Pending(why) => {
                Err(why.status().because(format!("{}: {}", name(), why.text())))
            }
        }
    }
}

impl Drop for Overlapped {
    fn drop(&mut self) {
        // Nobody lets go of an operation in flight; if somebody does, law 1 holds all the same. (A
        // claim borrows the operation, so `Claimed` here is one that was never submitted.)
        if self.control.stage() == Stage::Open && self.control.outcome().is_none() {
            shelf::keep(self.provider.clone());
        }
    }
}

/// The operation, to oneself. Dropped, the operation is open again, unless it is over.
struct Claim<'a>(&'a Overlapped);

impl Claim<'_> {
    /// Waits until the operation is done and its users are out, or until `deadline`.
    fn settle(&self, deadline: Deadline) -> Progress {
        let control = &self.0.control;
        let progress = match control.outcome() {
            Some(outcome) => Progress::Done(outcome),
            None => control.note(self.0.provider.wait(deadline)),
        };
        if matches!(progress, Progress::Done(_)) && !control.wait_for_users(deadline) {
            return Progress::Pending(Why::ThreadInside);
        }
        progress
    }

    /// Asks for a cancel and waits, bounded, for what comes of it.
    fn try_to_end(&self) -> Progress {
        match self.settle(Deadline::after_us(0)) {
            over @ (Progress::Done(_) | Progress::Pending(Why::Forked)) => return over,
            Progress::Pending(Why::InFlight | Why::WaitFailed) => self.0.provider.cancel(),
            Progress::Pending(Why::ThreadInside | Why::BeingFreed | Why::Unloaded) => {}
        }
        self.settle(Deadline::after_us(CANCEL_WAIT_US))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.control.leave_claim(Stage::Open);
    }
}
