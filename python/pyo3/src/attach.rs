//! A thread's stay in Python.

use crate::rtpy::{rtpy_ensure, rtpy_guard, rtpy_release};
use pyo3::Python;
use rtfinalize::status::Status;
use std::ffi::c_char;
use std::marker::PhantomData;

/// Attaches the thread to Python for the time of `f`, and pins Python as long: its end waits for `f`.
///
/// The check and the pin are one step, so a thread that comes too late gets an error and never a crash or a hang. It
/// may be nested. Once the end of Python has begun only those come in for whom it waits anyway: a thread that is in
/// Python already, and the one that ends it, in an exit callback for instance.
///
/// `name` is for the lines and the report about who is waited for; it is cut to 32 bytes. With a deadline `f` is not
/// waited for any longer when that has passed: Python is left alone then, and `f` may go on in it.
///
/// A panic of `f` goes on to the caller, with the thread out of Python. Code that waits long in `f` lets Python go
/// meanwhile (`Python::detach`), as ever.
///
/// Nothing of Python leaves `f` but what PyO3 lets go, as ever:
///
/// ```compile_fail
/// let py = rtfinalize_pyo3::attach("main", |py| py);
/// ```
///
/// Thread: any. Stage: any.
///
/// # Errors
/// [`Ended`] if Python was never started, ends, or has ended; `f` is not called then.
///
/// CPython: `PyGILState_Ensure` and `PyGILState_Release`; from 3.15 on `PyThreadState_EnsureFromView` (PEP 788). PyO3:
/// `Python::attach`.
pub fn attach<F, R>(name: &str, f: F) -> Result<R, Ended>
where
    F: for<'py> FnOnce(Python<'py>) -> R,
{
    let _guard = Guard::new(name)?;
    // `Python::attach` would do, but for this: once it has been called PyO3 does not look any more whether there is a
    // Python, and crashes after its end where it would panic.
    // SAFETY: Python runs, and is not finalized as long as there is the guard, or while this thread is in it already.
    Ok(unsafe { Python::attach_unchecked(f) })
}

/// Why a thread cannot come to Python: it ends or has ended, or was never started.
///
/// Seldom it is for want of memory, or because the thread's own last destructors run; [`Ended::status`] says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    status: Status,
}

impl Ended {
    /// `Finalizing`, `NoMemory` or `ThreadExiting`.
    pub fn status(&self) -> Status {
        self.status
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            Status::Finalizing => f.write_str("Python was not started, ends, or has ended"),
            other => write!(f, "Python cannot be entered: {}", other.error()),
        }
    }
}

impl std::error::Error for Ended {}

struct Guard {
    guard: rtpy_guard,
    _of_this_thread: PhantomData<*const ()>,
}

impl Guard {
    fn new(name: &str) -> Result<Guard, Ended> {
        let name = Name::new(name);
        let mut guard = rtpy_guard::new();
        // SAFETY: the name ends with a NUL, and the guard is ours.
        let code = unsafe { rtpy_ensure(name.as_ptr(), &mut guard) };
        if code < 0 {
            let status = Status::from_code(code).unwrap_or(Status::Internal);
            return Err(Ended { status });
        }
        Ok(Guard { guard, _of_this_thread: PhantomData })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: it was filled on this thread, which cannot give it away.
        unsafe { rtpy_release(&mut self.guard) };
    }
}

/// A name as C has it: up to the first NUL, and cut between characters.
struct Name([u8; Name::MOST + 1]);

impl Name {
    /// What the library keeps of it.
    const MOST: usize = 32;

    fn new(name: &str) -> Name {
        let mut bytes = [0; Name::MOST + 1];
        let name = name.split('\0').next().unwrap_or_default();
        let cut = name.floor_char_boundary(Name::MOST);
        bytes[..cut].copy_from_slice(&name.as_bytes()[..cut]);
        Name(bytes)
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    fn kept(name: &str) -> String {
        let bytes = Name::new(name).0;
        let end = bytes.iter().position(|byte| *byte == 0).expect("a NUL at the end");
        String::from_utf8(bytes[..end].to_vec()).expect("whole characters")
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(kept("camera"), "camera");
        assert_eq!(kept(&"é".repeat(40)), "é".repeat(16));
        assert_eq!(kept(&format!("a{}", "é".repeat(40))), format!("a{}", "é".repeat(15)));
        assert_eq!(kept("cut\0here"), "cut");
        assert_eq!(kept(""), "");
    }
}
