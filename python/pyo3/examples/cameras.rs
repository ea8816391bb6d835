//! Four native threads log through Python's `logging` into a pipe, and the program ends while they are at it: once as
//! PyO3 leaves it, once with this crate.
//!
//! ```text
//! cargo run --example cameras
//! ```

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rtfinalize_pyo3::attach;
use std::error::Error;
use std::ffi::CStr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::{env, thread};

const CAMERAS: usize = 4;

/// The program ends when so many frames were logged.
const FRAMES: usize = 1_000;

/// Records are collected before they are written, as a program does that logs a lot.
const LOGGING: &CStr = c"
import logging, logging.handlers, sys
target = logging.StreamHandler(sys.stdout)
logging.getLogger().addHandler(logging.handlers.MemoryHandler(300, target=target))
logging.getLogger().setLevel(logging.INFO)
";

fn set_up(py: Python<'_>) {
    py.run(LOGGING, None, None).expect("logging can be set up");
}

fn log(py: Python<'_>, camera: usize, frame: usize) {
    let record = || -> PyResult<()> {
        let names = PyDict::new(py);
        names.set_item("camera", camera)?;
        names.set_item("frame", frame)?;
        py.run(c"logging.info('camera %d: frame %d', camera, frame)", None, Some(&names))
    };
    record().expect("a record can be logged");
}

/// Calls `log` on the cameras' threads, with camera and frame, until it says that it is over; then `end`, on this
/// thread. Says how many frames were logged.
fn film(log: impl Fn(usize, usize) -> bool + Sync, end: impl FnOnce()) {
    let (sees, seen) = mpsc::channel();
    let logged: usize = thread::scope(|scope| {
        let cameras = Vec::from_iter((0..CAMERAS).map(|camera| {
            let (sees, log) = (sees.clone(), &log);
            scope.spawn(move || {
                let mut frames = 0;
                while log(camera, frames) {
                    frames += 1;
                    let _ = sees.send(());
                }
                frames
            })
        }));
        seen.iter().take(FRAMES).for_each(drop);
        end();
        cameras.into_iter().map(|camera| camera.join().expect("no panic")).sum()
    });
    eprintln!("{logged}");
}

fn with_pyo3_alone() {
    Python::initialize();
    Python::attach(set_up);
    let is_over = AtomicBool::new(false);
    let log = |camera, frame| {
        !is_over.load(Ordering::Relaxed) && {
            Python::attach(|py| log(py, camera, frame));
            true
        }
    };
    film(log, || is_over.store(true, Ordering::Relaxed));
}

fn with_this_crate() -> Result<(), Box<dyn Error>> {
    let python = rtfinalize_pyo3::start()?;
    attach("main", set_up)?;
    let mut ended = None;
    film(
        |camera, frame| attach("camera", |py| log(py, camera, frame)).is_ok(),
        || ended = Some(python.finalize()),
    );
    let report = ended.expect("the film ended")?;
    if !report.is_complete() {
        eprintln!("{report}");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1).as_deref() {
        Some("alone") => with_pyo3_alone(),
        Some("with") => with_this_crate()?,
        _ => {
            println!("{:<28} {:>8} {:>8}  exit", "", "logged", "arrived");
            show("PyO3 alone", "alone")?;
            show("PyO3 and rtfinalize-pyo3", "with")?;
        }
    }
    Ok(())
}

/// Runs this program as another process, into pipes.
fn show(title: &str, how: &str) -> Result<(), Box<dyn Error>> {
    let mut program = Command::new(env::current_exe()?);
    let output = program.arg(how).stdin(Stdio::null()).output()?;
    let logged = String::from_utf8(output.stderr)?;
    let arrived = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    println!("{title:<28} {:>8} {arrived:>8}  {}", logged.trim(), output.status);
    Ok(())
}
