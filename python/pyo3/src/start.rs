//! The beginning of Python's life.

use crate::interpreter::Interpreter;
use crate::rtpy::{rtfinalize_pyo3_main_state, rtpy_start};
use pyo3::ffi::{self, _PyStatus_TYPE, PyStatus};
use std::ffi::{CStr, c_char};
use std::sync::Mutex;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lives {
    None,
    /// A thread is starting Python.
    Starting,
    /// The last one ended, so that another may follow; or it lives.
    Some,
    /// The last one was left alone.
    LeftAlone,
}

/// Held for a few instructions.
static LIVES: Mutex<Lives> = Mutex::new(Lives::None);

/// Starts Python, which ends with the [`Interpreter`] that is returned.
///
/// It reads the environment (`PYTHONHOME`, `PYTHONPATH`, …) and leaves signals alone. The calling thread becomes
/// Python's main thread, where Python code can be interrupted at a deadline: let the one that is going to finalize
/// start it. No thread is attached afterwards. A Python that runs already, because something else has started it
/// (`Python::initialize`), is taken over as it is.
///
/// Thread: any; not while another one starts Python by other means. Stage: once in a process.
///
/// # Errors
/// [`StartError`], with CPython's own text, if Python does not start: it can be tried again. The same if this crate has
/// started it in this process before.
///
/// CPython: `Py_InitializeFromConfig`.
pub fn start() -> Result<Interpreter, StartError> {
    begin(|lives| match lives {
        Lives::None => Ok(()),
        _ => {
            Err("Python was started before in this process; for another time there is start_again")
        }
    })
}

/// Starts Python again after it was finalized, if the [`Report`](crate::Report) of that says that it
/// [is restartable](crate::Report::is_restartable).
///
/// # Safety
/// PyO3 keeps objects of the Python that ran first: in each `intern!`, `PyOnceLock`, `import_exception!` and
/// `#[pyclass]`, the program's and those inside PyO3. They belong to a Python that is no more. The caller makes sure
/// that
///
/// - no `Py<T>`, `PyErr` or other reference to an object of an earlier life is dropped or used from now on;
/// - from here on nothing is called that has such a cache from an earlier life. What that is depends on the releases of
///   PyO3 and of Python; the README says what was found. `pyo3::ffi` has none.
///
/// Thread, stage, CPython: as [`start`].
///
/// # Errors
/// As [`start`]; also if Python lives, or was left alone.
pub unsafe fn start_again() -> Result<Interpreter, StartError> {
    begin(|_| Ok(()))
}

fn begin(
    allowed: impl FnOnce(Lives) -> Result<(), &'static str>,
) -> Result<Interpreter, StartError> {
    let before = {
        let mut lives = LIVES.lock().unwrap_or_else(|poison| poison.into_inner());
        if *lives == Lives::Starting {
            return Err(StartError::new("another thread is starting Python"));
        }
        allowed(*lives).map_err(StartError::new)?;
        std::mem::replace(&mut *lives, Lives::Starting)
    };
    // SAFETY: nobody else is here, and Python is not in the middle of being started, by the documentation of `start`.
    let started = unsafe { start_now(before) };
    set(if started.is_ok() { Lives::Some } else { before });
    started
}

fn set(lives: Lives) {
    *LIVES.lock().unwrap_or_else(|poison| poison.into_inner()) = lives;
}

/// From now on Python cannot be started, and its thread states may be in use.
pub(crate) fn was_left_alone() {
    set(Lives::LeftAlone);
}

/// # Safety
/// By one thread at a time.
unsafe fn start_now(before: Lives) -> Result<Interpreter, StartError> {
    // SAFETY: this asks for a flag.
    let runs = unsafe { ffi::Py_IsInitialized() } != 0;
    // One that was left alone is refused, and its lock may be kept for good.
    let is_taken_over = runs && before != Lives::LeftAlone;
    // SAFETY: Python runs, and is not finalizing: it is another one than that which was started here before.
    let lock = is_taken_over.then(|| unsafe { ffi::PyGILState_Ensure() });
    // SAFETY: with the interpreter's lock if Python runs; without a configuration.
    let status = unsafe { rtpy_start(std::ptr::null()) };
    let result = if matches!(status._type, _PyStatus_TYPE::_PyStatus_TYPE_OK) {
        // SAFETY: this thread has the interpreter's lock.
        Ok(Interpreter::new(unsafe { rtfinalize_pyo3_main_state() }))
    } else {
        // SAFETY: it has just been returned.
        Err(unsafe { StartError::of(&status) })
    };
    if let Some(lock) = lock {
        // SAFETY: it is what this thread took above.
        unsafe { ffi::PyGILState_Release(lock) };
    } else if result.is_ok() {
        // SAFETY: rtpy_start has left this thread the lock. Its state stays, as that of the main thread.
        unsafe { ffi::PyEval_SaveThread() };
    }
    result
}

/// Why Python could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    text: String,
}

impl StartError {
    fn new(text: impl Into<String>) -> StartError {
        StartError { text: text.into() }
    }

    /// # Safety
    /// The texts are C strings, or NULL.
    unsafe fn of(status: &PyStatus) -> StartError {
        // SAFETY: by the caller.
        let text = |text: *const c_char| (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
        let words =
            text(status.err_msg).map_or("Python does not start".into(), CStr::to_string_lossy);
        match text(status.func).map(CStr::to_string_lossy) {
            Some(function) => StartError::new(format!("{function}: {words}")),
            None => StartError::new(words),
        }
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StartError {}
