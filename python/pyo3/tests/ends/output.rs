//! What Python has in its buffers arrives.

use crate::host::Case;
use pyo3::Python;
use rtfinalize_pyo3::{attach, start};

pub const CASES: &[Case] = &[
    Case::new("a_print_into_a_pipe_arrives", prints, |it| it.wrote("the last words\n")),
    Case::new("a_print_arrives_when_the_handle_is_dropped", drops, |it| {
        it.wrote("the last words\n");
        assert_eq!(it.stderr, "");
    }),
    Case::new("a_print_arrives_when_main_panics", panics, |it| {
        it.ended_by(101);
        assert_eq!(it.stdout, "the last words\n");
    }),
    Case::new("the_program_writes_on_after_python", writes_on, |it| it.wrote("Python\nRust\n")),
    Case::new("a_file_of_a_thread_that_sleeps_is_flushed", sleeps, |it| it.wrote("of the thread")),
];

fn print(py: Python<'_>) {
    py.run(c"print('the last words')", None, None).expect("it prints");
}

fn prints() {
    let python = start().expect("Python starts");
    attach("main", print).expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.left_alone(), None);
    assert!(report.is_restartable(), "{report}");
    assert!(report.to_string().starts_with("python: finalized"), "{report}");
}

fn drops() {
    let _python = start().expect("Python starts");
    attach("main", print).expect("Python lives");
}

fn panics() {
    let _python = start().expect("Python starts");
    attach("main", print).expect("Python lives");
    panic!("on purpose");
}

fn writes_on() {
    let python = start().expect("Python starts");
    attach("main", |py| py.run(c"print('Python')", None, None).expect("it prints"))
        .expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    println!("Rust");
}

fn sleeps() {
    let python = start().expect("Python starts");
    let code = c"
import os, threading
written = threading.Event()
def sleeps():
    file = os.fdopen(os.dup(1), 'w')
    file.write('of the thread')
    written.set()
    threading.Event().wait()
threading.Thread(target=sleeps, daemon=True).start()
written.wait()
";
    attach("main", |py| py.run(code, None, None).expect("it runs")).expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
}
