//! Python while it lives, and its end.

use crate::options::Options;
use crate::report::Report;
use crate::rtpy::{rtfinalize_pyo3_is_inside, rtpy_finalize};
use crate::start::was_left_alone;
use pyo3::Python;
use pyo3::ffi::PyThreadState;
use rtfinalize::capi::account::rt_tell;
use rtfinalize::capi::error::rt_last_error;
use rtfinalize::capi::event::{RT_EVENT_PHASE_BEGIN, rt_event};
use rtfinalize::phase::Phase;
use rtfinalize::status::Status;
use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::catch_unwind;

/// A Python that was started, and ends with this.
///
/// Threads come in by [`attach`](crate::attach), which needs no reference to it: they may come at any time, also when
/// it has ended.
///
/// Dropped, it is finalized as by [`Interpreter::finalize`]; without a deadline, unless `RTFINALIZE_DEADLINE` sets one.
/// One line on stderr then says what was lost, and the report goes to where `RTFINALIZE_REPORT` has it. A
/// process that ends by `std::process::exit` drops nothing, so finalize before. Forgotten (`std::mem::forget`), Python
/// goes on until the process ends.
#[must_use = "Python ends when it is dropped"]
#[derive(Debug)]
pub struct Interpreter {
    /// Of Python's main thread. To be compared, never followed.
    main_state: *const PyThreadState,
}

// SAFETY: the pointer is only compared with that of the thread that asks.
unsafe impl Send for Interpreter {}
// SAFETY: as above.
unsafe impl Sync for Interpreter {}

impl Interpreter {
    pub(crate) fn new(main_state: *const PyThreadState) -> Interpreter {
        Interpreter { main_state }
    }

    /// Ends Python, and returns: the program lives on. As [`Interpreter::finalize_with`] without options.
    ///
    /// # Errors
    /// As [`Interpreter::finalize_with`].
    pub fn finalize(self) -> Result<Report, Refused> {
        self.finalize_with(Options::new())
    }

    /// Ends Python, and returns: the program lives on.
    ///
    /// Threads in [`attach`](crate::attach) are waited for, then Python's own that are not daemons, then exit callbacks
    /// are called. Then the other threads are stopped where they hold no file's lock, every file that Python knows is
    /// flushed, and Python is finalized; if a thread may come back and touch what that would free, Python is left alone
    /// ([`Report::left_alone`]). Without a deadline the first of these take as long as they like.
    ///
    /// Bytes that were lost and steps that were cut short are no error of this call: the report
    /// [says so](Report::is_complete).
    ///
    /// It is done once:
    ///
    /// ```compile_fail,E0382
    /// # let python = rtfinalize_pyo3::start().unwrap();
    /// let report = python.finalize();
    /// let again = python.finalize();
    /// ```
    ///
    /// Thread: the one that started Python. On another one all is done too, but Python is always left alone, and Python
    /// code is not interrupted at the deadline. Stage: any; not inside Python.
    ///
    /// # Errors
    /// [`Refused`], with the interpreter, if this thread is inside Python: in [`attach`](crate::attach), in
    /// `Python::attach`, or in a function that Python calls, also while it is detached there. The same if the library
    /// cannot begin, for want of memory for instance. Nothing was done then.
    ///
    /// CPython: `Py_FinalizeEx`.
    pub fn finalize_with(self, options: Options) -> Result<Report, Refused> {
        let mut this = ManuallyDrop::new(self);
        this.end(options).map_err(|(status, text)| {
            // SAFETY: it is not used any more.
            let interpreter = unsafe { ManuallyDrop::take(&mut this) };
            Refused { interpreter, status, text }
        })
    }

    fn end(&self, options: Options) -> Result<Report, (Status, String)> {
        // SAFETY: it compares the pointer.
        if unsafe { rtfinalize_pyo3_is_inside(self.main_state) } != 0 {
            return Err((Status::State, "this thread is inside Python".to_owned()));
        }
        let options = options.for_c();
        let mut handle = std::ptr::null_mut();
        // SAFETY: the thread is not inside Python, so no code above on its stack goes on to touch it. Of other threads
        // the C side takes care.
        let code = unsafe { rtpy_finalize(&options, &mut handle) };
        if handle.is_null() {
            return Err((Status::from_code(code).unwrap_or(Status::Internal), last_error()));
        }
        let report = Report::of(handle).map_err(|error| (error.status(), error.to_string()))?;
        if !report.is_restartable() {
            was_left_alone();
        }
        Ok(report)
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        let what = match self.end(Options::new()) {
            Ok(report) if report.is_complete() => return,
            Ok(report) => report.headline(),
            Err((_, text)) => format!("'python' is not finalized: {text}"),
        };
        let line = CString::new(what).unwrap_or_default();
        // SAFETY: it is a C string.
        unsafe { rt_tell(line.as_ptr()) };
    }
}

fn last_error() -> String {
    // SAFETY: it is a C string, which lives until this thread's next call.
    unsafe { CStr::from_ptr(rt_last_error()) }.to_string_lossy().into_owned()
}

/// What the library tells of a finalization; see [`Options::for_c`].
///
/// Before the other threads are stopped, and after those that attach have left for good, PyO3's pool of references is
/// emptied: whatever is in there later is dropped into a Python that is no more.
pub(crate) unsafe extern "C-unwind" fn on_event(event: *const rt_event, _: *mut c_void) -> i32 {
    // SAFETY: the library's, for the time of the call.
    let event = unsafe { &*event };
    if event.kind == RT_EVENT_PHASE_BEGIN && event.phase == Phase::Freeze as u32 {
        // A destructor may panic.
        let _ = catch_unwind(|| {
            // SAFETY: Python runs until a later phase, in which this very thread finalizes it.
            unsafe { Python::attach_unchecked(|_| ()) }
        });
    }
    0
}

/// Python was not finalized, and lives; [`Refused::into_interpreter`] gives it back. Dropped, it is tried once more.
#[derive(Debug)]
pub struct Refused {
    interpreter: Interpreter,
    status: Status,
    text: String,
}

impl Refused {
    /// Python, as it was.
    pub fn into_interpreter(self) -> Interpreter {
        self.interpreter
    }

    /// `State` if the thread is inside Python; otherwise what the library says.
    pub fn status(&self) -> Status {
        self.status
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python was not finalized: {}", self.text)
    }
}

impl std::error::Error for Refused {}
