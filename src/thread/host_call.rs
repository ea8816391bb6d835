//! Every call into host code.
//!
//! Four rules meet here. No internal lock is held (law 5; checked in debug builds). Code that was
//! unloaded is not called (see [`unloaded`]). A callback that ends its thread is stopped at our frame
//! (`host_call.c`), so the library finishes its work first (not on Windows, where the end of a thread
//! unwinds nothing: see `forked`). A callback that calls finalize is recognised, for the thread is marked
//! as inside it: see [`Duty`].

use crate::sync::activity;
use crate::sys::cell;
use crate::sys::loaded_code;
use crate::sys::memory;
use crate::thread::this_thread::duties::{self, Whom};
use libc::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this.
    Returned(c_int),
    /// It ended its thread. The thread lives on until the call of this library that made the callback returns.
    EndedThread,
    /// It is a Rust closure and panicked.
    Panicked,
    /// It was not called: the plug-in it was in is not loaded any more.
    Unloaded,
}

impl Outcome {
    /// Whether it counts as a failure.
    pub fn failed(self) -> bool {
        !matches!(self, Outcome::Returned(code) if code >= 0)
    }

    /// What a report says of it.
    pub fn text(self) -> String {
        self.to_string()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Returned(code) => write!(f, "returned {code}"),
            Outcome::EndedThread => f.write_str(Stopped::EndedThread.text()),
            Outcome::Panicked => f.write_str("panicked"),
            Outcome::Unloaded => f.write_str(Stopped::Unloaded.text()),
        }
    }
}

/// Why a call into the host gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// As [`Outcome::EndedThread`].
    EndedThread,
    /// As [`Outcome::Unloaded`].
    Unloaded,
}

impl Stopped {
    /// What to say of it.
    pub const fn text(self) -> &'static str {
        match self {
            Stopped::EndedThread => "ended its thread",
            Stopped::Unloaded => loaded_code::NOT_CALLED,
        }
    }
}

impl From<Stopped> for Outcome {
    fn from(stopped: Stopped) -> Outcome {
        match stopped {
            Stopped::EndedThread => Outcome::EndedThread,
            Stopped::Unloaded => Outcome::Unloaded,
        }
    }
}

/// The C shape of a callback: negative is a failure.
pub type Function = unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int;

unsafe extern "C-unwind" {
    fn rtfinalize_host_call(call: Function, context: *mut c_void) -> c_int;
    fn rtfinalize_resume_exit();
}

/// A callback and its argument, to be called once at most or many times.
pub struct HostCall {
    function: Function,
    arg: *mut c_void,
    drop: Option<unsafe fn(*mut c_void)>,
}

// SAFETY: the host promises, by registering a function, that it may be called from whichever thread
// finalizes; closures are `Send + Sync` by `from_closure`'s bound.
unsafe impl Send for HostCall {}
// SAFETY: as above.
unsafe impl Sync for HostCall {}

impl HostCall {
    /// The C function `function` with `arg`.
    ///
    /// # Safety
    /// `function` must be callable with `arg`, from any thread, until the callback is unregistered
    /// or its runtime finalized.
    pub unsafe fn from_c(function: Function, arg: *mut c_void) -> HostCall {
        HostCall { function, arg, drop: None }
    }

    /// A Rust closure; what it returns is what a C callback would.
    pub fn from_closure<F: Fn() -> c_int + Send + Sync + 'static>(closure: F) -> HostCall {
        unsafe extern "C-unwind" fn call<F: Fn() -> c_int>(arg: *mut c_void) -> c_int {
            // SAFETY: `arg` is the box made below, alive as long as its `HostCall`.
            let closure = unsafe { &*arg.cast::<F>() };
            catch_unwind(AssertUnwindSafe(closure)).unwrap_or(PANICKED)
        }
        unsafe fn free<F>(arg: *mut c_void) {
            // SAFETY: `arg` is the box made below, dropped once.
            drop(unsafe { Box::from_raw(arg.cast::<F>()) });
        }
        HostCall {
            function: call::<F>,
            arg: Box::into_raw(Box::new(closure)).cast(),
            drop: Some(free::<F>),
        }
    }

    /// Whether it is this C function, with this argument if one is given.
    pub(crate) fn is(&self, function: Function, arg: Option<*mut c_void>) -> bool {
        std::ptr::fn_addr_eq(self.function, function) && arg.is_none_or(|arg| arg == self.arg)
    }

    /// Calls it on this thread, which then may finalize nothing meanwhile.
    pub(crate) fn call(&self) -> Outcome {
        self.call_of(Whom::UNKNOWN)
    }

    /// Calls it on this thread as a callback of `whom`, a runtime: meanwhile the thread may finalize neither
    /// that nor an ancestor of it.
    pub(crate) fn call_for(&self, whom: impl Into<Whom>) -> Outcome {
        self.call_of(whom.into())
    }

    fn call_of(&self, whom: Whom) -> Outcome {
        let (function, arg) = (self.function, self.arg);
        if loaded_code::is_gone(function as *const ()) {
            return Outcome::Unloaded;
        }
        // SAFETY: by the contract of `from_c`.
        match run_for(whom, || unsafe { function(arg) }) {
            Ok(PANICKED) if self.drop.is_some() => Outcome::Panicked,
            Ok(code) => Outcome::Returned(code),
            Err(stopped) => stopped.into(),
        }
    }
}

/// The two callbacks of a tracked object, and their argument. Either may be absent.
#[derive(Clone, Copy)]
pub struct ObjectCalls {
    finalize: Option<Function>,
    dealloc: Option<Function>,
    arg: *mut c_void,
}

// SAFETY: the host promises, by tracking an object, that its callbacks may be called from whichever
// thread finalizes.
unsafe impl Send for ObjectCalls {}

impl ObjectCalls {
    /// Nothing to call.
    pub const NONE: ObjectCalls =
        ObjectCalls { finalize: None, dealloc: None, arg: std::ptr::null_mut() };

    /// The C functions `finalize` and `dealloc` with `arg`.
    ///
    /// # Safety
    /// Both must be callable with `arg`, from any thread, until the object is untracked, disposed of
    /// or its runtime finalized.
    pub unsafe fn from_c(
        finalize: Option<Function>,
        dealloc: Option<Function>,
        arg: *mut c_void,
    ) -> ObjectCalls {
        ObjectCalls { finalize, dealloc, arg }
    }

    /// Whether there is nothing to call.
    pub fn is_empty(&self) -> bool {
        self.finalize.is_none() && self.dealloc.is_none()
    }

    /// Calls `finalize` on this thread.
    pub(crate) fn finalize(&self) -> Outcome {
        self.call(self.finalize)
    }

    /// Calls `dealloc` on this thread.
    pub(crate) fn dealloc(&self) -> Outcome {
        self.call(self.dealloc)
    }

    fn call(&self, function: Option<Function>) -> Outcome {
        let Some(function) = function else { return Outcome::Returned(0) };
        // What one of them is about may have gone with the code of the other.
        let mut both = [self.finalize, self.dealloc].into_iter().flatten();
        if both.any(|other| loaded_code::is_gone(other as *const ())) {
            return Outcome::Unloaded;
        }
        // SAFETY: by the contract of `from_c`.
        match run_for(Whom::UNKNOWN, || unsafe { function(self.arg) }) {
            Ok(code) => Outcome::Returned(code),
            Err(stopped) => stopped.into(),
        }
    }
}

const PANICKED: c_int = c_int::MIN;

impl Drop for HostCall {
    fn drop(&mut self) {
        // A closure whose code is gone cannot be dropped.
        if let Some(drop) = self.drop.filter(|drop| !loaded_code::is_gone(*drop as *const ())) {
            // SAFETY: `drop` was made for `arg`, and is called once.
            unsafe { drop(self.arg) };
        }
    }
}

/// Runs `call`, which calls the host's function at `code` and does nothing else worth a destructor.
///
/// # Errors
/// It ended its thread, or was not made.
pub(crate) fn run<R, F: FnOnce() -> R>(code: *const (), call: F) -> Result<R, Stopped> {
    if loaded_code::is_gone(code) {
        return Err(Stopped::Unloaded);
    }
    run_for(Whom::UNKNOWN, call)
}

/// As [`run`], for a callback of `whom` whose code is there.
pub(crate) fn run_for<R, F: FnOnce() -> R>(whom: impl Into<Whom>, call: F) -> Result<R, Stopped> {
    struct Context<F, R> {
        call: Option<F>,
        result: Option<R>,
    }
    unsafe extern "C-unwind" fn thunk<R, F: FnOnce() -> R>(context: *mut c_void) -> c_int {
        // SAFETY: `context` is the one below, borrowed for the length of the call.
        let context = unsafe { &mut *context.cast::<Context<F, R>>() };
        if let Some(call) = context.call.take() {
            context.result = Some(call());
        }
        0
    }
    debug_assert_eq!(cell::sections().get(), 0, "host code called under an internal lock");
    let mut context = Context { call: Some(call), result: None };
    let calls = cell::calls();
    let depth = calls.get();
    calls.set(depth + 1);
    let cancel = crate::sys::cancellation::lift();
    let returned = on_duty(whom.into(), false, || {
        activity::in_the_host(|| {
            // SAFETY: `thunk` takes what it is given; `context` outlives the call.
            memory::without_reserve(|| unsafe {
                rtfinalize_host_call(thunk::<R, F>, std::ptr::from_mut(&mut context).cast())
            })
        })
    });
    crate::sys::cancellation::restore(cancel);
    calls.set(depth);
    if returned == 0 {
        cell::set_ended();
        return Err(Stopped::EndedThread);
    }
    context.result.ok_or(Stopped::EndedThread)
}

/// Ends the thread now if a callback asked for it. For the call that made the callback, as it returns into
/// the host: there the end goes on through the host's frames, until the host's own thread function or the
/// frame of a callback further out.
///
/// The caller's frames up to the host must own nothing: they are unwound by the system.
#[inline]
pub(crate) fn settle() {
    if cell::take_ended() {
        // SAFETY: the thread is ending, and nothing of the library's lies between here and the host.
        unsafe { rtfinalize_resume_exit() };
    }
}

/// Notes for the length of `work` that the thread is in a callback of `whom`, or finalizes it. One that is not
/// known is for a callback of a writer or an operation: whatever it is for, the thread holds that.
pub(crate) fn on_duty<R>(whom: Whom, finalizes: bool, work: impl FnOnce() -> R) -> R {
    let _duty = duties::begin(whom, finalizes);
    work()
}

/// Whether this thread is finalizing some runtime.
pub(crate) fn is_finalizing() -> bool {
    duties::any(|_, finalizes| finalizes)
}
