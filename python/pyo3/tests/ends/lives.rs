//! Python is started again.

use crate::host::Case;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rtfinalize_pyo3::{Interpreter, Report, attach, start, start_again};
use std::sync::mpsc;
use std::thread;

pub const CASES: &[Case] = &[
    Case::new("five_lives_with_racing_threads_lose_no_line", five_lives, |it| {
        it.ended_by(0);
        let expected: Vec<_> = (1..=5)
            .map(|life| it.stdout.lines().filter(|line| *line == life.to_string()).count())
            .collect();
        let written: Vec<usize> =
            it.stderr.lines().map(|line| line.parse().expect("a number")).collect();
        assert_eq!(expected, written);
    }),
    Case::new("strings_classes_and_errors_of_pyo3_serve_five_lives", caches, |it| {
        it.wrote(&"8 ValueError: no\n".repeat(5))
    }),
    Case::new("a_python_that_was_left_alone_is_not_started_again", left_alone, |it| {
        it.ended_by(0);
        it.told("left alone");
    }),
];

fn live(life: usize) -> Interpreter {
    match life {
        1 => start().expect("Python starts"),
        // SAFETY: no reference is kept, and what these programs call was found to serve several lives.
        _ => unsafe { start_again() }.expect("Python starts again"),
    }
}

fn end(python: Interpreter) {
    let report: Report = python.finalize().expect("it is finalized");
    assert!(report.is_complete() && report.is_restartable(), "{report}");
}

fn five_lives() {
    for life in 1..=5 {
        let python = live(life);
        let (goes, going) = mpsc::channel();
        let threads = Vec::from_iter((0..4).map(|_| {
            let goes = goes.clone();
            thread::spawn(move || {
                let code = std::ffi::CString::new(format!(
                    "import sys; sys.stdout.buffer.write(b'{life}\\n')"
                ));
                let code = code.expect("no NUL");
                let mut written = 0;
                while attach("racer", |py| py.run(&code, None, None).expect("it is written"))
                    .is_ok()
                {
                    written += 1;
                    let _ = goes.send(());
                }
                written
            })
        }));
        going.iter().take(100).for_each(drop);
        end(python);
        let written: usize =
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        eprintln!("{written}");
    }
}

#[pyclass]
struct Number {
    value: i32,
}

#[pymethods]
impl Number {
    fn twice(&self) -> i32 {
        2 * self.value
    }
}

fn caches() {
    for life in 1..=5 {
        let python = live(life);
        let used = |py: Python<'_>| -> PyResult<()> {
            let number = Bound::new(py, Number { value: 4 })?;
            // From 3.14 on interned strings are freed with the Python that they are of.
            let is_kept = py.version_info() < (3, 14);
            let name =
                if is_kept { intern!(py, "twice").clone() } else { PyString::new(py, "twice") };
            let twice: i32 = number.call_method0(name)?.extract()?;
            let error = PyValueError::new_err("no");
            let print = py.import("builtins")?.getattr("print")?;
            print.call1((twice, error.to_string())).map(drop)
        };
        attach("main", |py| used(py).map_err(|error| error.to_string()))
            .expect("Python lives")
            .expect("no exception");
        end(python);
    }
}

fn left_alone() {
    let python = start().expect("Python starts");
    let report =
        thread::spawn(|| python.finalize()).join().expect("no panic").expect("it is finalized");
    assert!(!report.is_restartable(), "{report}");
    // SAFETY: it is refused.
    eprintln!("{}", unsafe { start_again() }.expect_err("Python is in use"));
}
