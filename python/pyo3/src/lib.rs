//! A bounded end for the Python that a Rust program embeds by [PyO3](pyo3).
//!
//! PyO3 starts Python and does not end it: what a `print` left in a buffer is lost with the process. Ending it
//! by `Py_FinalizeEx` crashes, hangs or aborts if another thread is in Python at that moment. This crate starts
//! Python, lets threads in, and ends it, so that every byte arrives or is counted, no thread crashes, and the
//! program lives on with a report.
//!
//! ```no_run
//! use pyo3::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let python = rtfinalize_pyo3::start()?;
//!     let camera = std::thread::spawn(|| {
//!         rtfinalize_pyo3::attach("camera", |py| py.run(c"print('a picture')", None, None).is_ok())
//!     });
//!     let report = python.finalize()?;
//!     println!("{report}");
//!     // The thread came in and was waited for, or came too late and heard so.
//!     let _ = camera.join();
//!     Ok(())
//! }
//! ```
//!
//! | here | without it |
//! |---|---|
//! | [`start`] | `Python::initialize`, `auto-initialize` |
//! | [`attach`] | `Python::attach`, which crashes or hangs when Python ends meanwhile |
//! | [`Interpreter::finalize`] | nothing; `with_embedded_python_interpreter` on one thread |
//!
//! # References that outlive Python
//!
//! A [`Py<T>`](pyo3::Py) may be kept as long as one likes. Dropped while the thread is not attached it goes to a pool
//! of PyO3's, which is emptied as any thread attaches, and once more as Python ends, when no thread can come in any
//! more. One that is dropped after that costs its few bytes in that pool, and nothing else.
//!
//! What needs Python panics after its end: `Python::attach`, and what calls it in secret, above all the text of a
//! [`PyErr`](pyo3::PyErr) (`Display`, `Debug`). Let no `PyErr` out of [`attach`]; make a text of it inside. The panic
//! is PyO3's own; once a program has called `Python::attach` or `Python::initialize` itself, PyO3 crashes the process
//! instead.
//!
//! `intern!`, `PyOnceLock` and the classes of `#[pyclass]` are made once in a process and are of the Python that ran
//! then. So [`start`] starts Python once; for a second time there is [`start_again`], which is `unsafe` and says what
//! works.
//!
//! # Environment
//!
//! `RTFINALIZE_DEADLINE` and `RTFINALIZE_GRACE` (`5s`, `500ms`), and `RTFINALIZE_REPORT` (`text`, `json`, `trace` or
//! `html`, with `:PATH` for a file), hold for each end of Python, also for that by [`Drop`]; they win over [`Options`].
//!
//! # What it needs
//!
//! Linux, CPython 3.9 to 3.15 with its headers, and PyO3 without `abi3`, `extension-module` and `auto-initialize`.
//! `Thread` and `Stage` below say where a function may be called.

#![warn(missing_docs)]

mod attach;
mod interpreter;
mod options;
mod report;
#[allow(non_camel_case_types, reason = "these are C's names")]
mod rtpy;
mod start;

pub use attach::{Ended, attach};
pub use interpreter::{Interpreter, Refused};
pub use options::Options;
pub use report::Report;
/// The library itself: the types of what a [`Report`] holds, and its other forms.
pub use rtfinalize;
pub use start::{StartError, start, start_again};
