//! Threads come in, while Python lives and as it ends.

use crate::host::Case;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rtfinalize::status::Status;
use rtfinalize_pyo3::{Ended, attach, start};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

pub const CASES: &[Case] = &[
    Case::new("threads_race_the_end_and_each_line_arrives", races, |it| {
        it.ended_by(0);
        let printed: usize = it.stderr.trim().parse().expect("a number of lines");
        assert_eq!(it.stdout.lines().count(), printed);
        assert!(it.stdout.lines().all(|line| line == LINE), "a line is torn: {}", it.stdout);
    }),
    Case::new("a_thread_that_is_inside_is_waited_for_and_may_nest", nests, |it| {
        it.wrote("nested\n")
    }),
    Case::new("a_panic_in_attach_leaves_python_usable", panics, |it| it.wrote("after the panic\n")),
    Case::new("python_is_finalized_from_another_thread", from_another_thread, |it| {
        it.wrote("the last words\n");
    }),
    Case::new("an_exit_callback_may_attach", exit_callback, |it| it.wrote("in the callback\n")),
    Case::new("a_thread_of_pythons_that_is_waited_for_may_attach", waited_for, |it| {
        it.wrote("in the thread\n");
    }),
    Case::new("threads_are_waited_for_whichever_thread_imported_threading", imports_first, |it| {
        it.wrote("waited for\n");
    }),
];

const LINE: &str = "a line that is long enough to be torn";

fn races() {
    let python = start().expect("Python starts");
    let printed = Arc::new(AtomicUsize::new(0));
    let (goes, going) = mpsc::channel();
    let threads = Vec::from_iter((0..8).map(|number| {
        let (printed, goes) = (printed.clone(), goes.clone());
        thread::spawn(move || {
            let name = format!("racer {number}");
            loop {
                // The lock of the binary file is what makes the line whole: text files have none.
                let code = c"import sys; sys.stdout.buffer.write(b'a line that is long enough to be torn\\n')";
                let write = |py: Python<'_>| py.run(code, None, None).expect("it is written");
                match attach(&name, write) {
                    Ok(()) => printed.fetch_add(1, Ordering::Relaxed),
                    Err(ended) => {
                        assert_eq!(ended.status(), Status::Finalizing);
                        return;
                    }
                };
                let _ = goes.send(());
            }
        })
    }));
    going.iter().take(500).for_each(drop);
    let report = python.finalize().expect("it is finalized");
    threads.into_iter().for_each(|thread| thread.join().expect("it hears of the end"));
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.left_alone(), None);
    eprintln!("{}", printed.load(Ordering::Relaxed));
}

fn nests() {
    let python = start().expect("Python starts");
    let (goes, going) = mpsc::channel();
    let thread = thread::spawn(move || {
        attach("outer", |py| {
            goes.send(()).expect("main waits");
            // The end has begun when a thread that is outside is refused.
            py.detach(|| {
                let refused =
                    || thread::spawn(|| attach("other", |_| ())).join().expect("no panic");
                crate::host::wait_until("a refusal", || refused().is_err());
            });
            let print = |py: Python<'_>| py.run(c"print('nested')", None, None).expect("it prints");
            attach("inner", print).expect("this thread is waited for");
        })
    });
    going.recv().expect("the thread is inside");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    thread.join().expect("no panic").expect("it came in time");
}

fn panics() {
    let python = start().expect("Python starts");
    let thread = thread::spawn(|| attach("panics", |_| attach("deep", |_| panic!("on purpose"))));
    let panic = thread.join().expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    let print =
        |py: Python<'_>| py.run(c"print('after the panic')", None, None).expect("it prints");
    attach("main", print).expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.left_alone(), None);
}

fn from_another_thread() {
    let python = start().expect("Python starts");
    let print = |py: Python<'_>| py.run(c"print('the last words')", None, None).expect("it prints");
    attach("main", print).expect("Python lives");
    let report = thread::spawn(|| python.finalize()).join().expect("no panic").expect("finalized");
    assert!(report.is_complete(), "{report}");
    // The state of its main thread is in use as long as that thread lives.
    assert!(report.left_alone().is_some(), "{report}");
    assert!(!report.is_restartable());
    let late: Result<(), Ended> = attach("main", |_| ());
    assert_eq!(late.expect_err("it is too late").status(), Status::Finalizing);
}

#[pyfunction]
fn print_attached(text: &str) {
    let print = |py: Python<'_>| {
        let names = PyDict::new(py);
        names.set_item("text", text).expect("a name");
        py.run(c"print(text)", None, Some(&names)).expect("it prints");
    };
    attach("function", print).expect("this thread is in Python already");
}

fn with_function(py: Python<'_>, code: &std::ffi::CStr) {
    let names = PyDict::new(py);
    let function = wrap_pyfunction!(print_attached, py).expect("a function");
    names.set_item("print_attached", function).expect("a name");
    py.run(code, Some(&names), None).expect("it runs");
}

fn exit_callback() {
    let python = start().expect("Python starts");
    let code = c"import atexit; atexit.register(print_attached, 'in the callback')";
    attach("main", |py| with_function(py, code)).expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
}

fn waited_for() {
    let python = start().expect("Python starts");
    let code = c"
import threading, time
def wait():
    while not ended():
        time.sleep(0.001)
    print_attached('in the thread')
threading.Thread(target=wait).start()
";
    attach("main", |py| {
        let names = PyDict::new(py);
        let function = wrap_pyfunction!(print_attached, py).expect("a function");
        names.set_item("print_attached", function).expect("a name");
        names
            .set_item("ended", wrap_pyfunction!(others_are_refused, py).expect("a function"))
            .expect("a name");
        py.run(code, Some(&names), None).expect("it runs");
    })
    .expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
}

#[pyfunction]
fn others_are_refused(py: Python<'_>) -> bool {
    py.detach(|| thread::spawn(|| attach("other", |_| ())).join().expect("no panic").is_err())
}

fn imports_first() {
    let python = start().expect("Python starts");
    let code = c"
import threading, time
def wait():
    while not ended():
        time.sleep(0.001)
    print('waited for')
threading.Thread(target=wait, daemon=False).start()
";
    let thread = thread::spawn(move || {
        attach("imports", |py| {
            let names = PyDict::new(py);
            names
                .set_item("ended", wrap_pyfunction!(others_are_refused, py).expect("a function"))
                .expect("a name");
            py.run(code, Some(&names), None).expect("it runs");
        })
    });
    thread.join().expect("no panic").expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
}
