//! What a program must not do gets an error.

use crate::host::Case;
use pyo3::Python;
use rtfinalize::status::Status;
use rtfinalize_pyo3::{Interpreter, attach, start, start_again};

pub const CASES: &[Case] = &[
    Case::new("attach_before_start_and_after_the_end_is_refused", outside, |it| it.wrote("")),
    Case::new("finalize_inside_attach_is_refused_and_gives_python_back", inside, |it| it.wrote("")),
    Case::new("a_handle_dropped_inside_attach_says_that_python_goes_on", dropped_inside, |it| {
        it.wrote("");
        it.told("rtfinalize: 'python' is not finalized: this thread is inside Python");
    }),
    Case {
        environment: &[("PYTHONHOME", "/there/is/no/such/folder")],
        ..Case::new("a_python_that_does_not_start_says_why", no_python, |it| {
            it.ended_by(0);
            it.told("encoding");
        })
    },
    Case::new("a_second_start_is_refused", twice, |it| it.wrote("")),
    Case::new("of_threads_that_start_python_at_once_one_does", at_once, |it| it.wrote("")),
    Case::new("a_python_that_runs_already_is_taken_over", taken_over, |it| {
        it.wrote("taken over\n")
    }),
];

fn outside() {
    assert_eq!(attach("early", |_| ()).expect_err("it is too early").status(), Status::Finalizing);
    let python = start().expect("Python starts");
    attach("in time", |_| ()).expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    let late = attach("late", |_| ()).expect_err("it is too late");
    assert_eq!(late.status(), Status::Finalizing);
    assert_eq!(late.to_string(), "Python was not started, ends, or has ended");
}

fn inside() {
    let python = start().expect("Python starts");
    let python = attach("main", |_| refused(python)).expect("Python lives");
    let python = attach("main", |py| py.detach(|| refused(python))).expect("Python lives");
    let python = Python::attach(|_| refused(python));
    let python = Python::attach(|py| py.detach(|| refused(python)));
    let on_another_thread = || attach("other", |py| py.detach(|| refused(python)));
    let python = std::thread::scope(|scope| scope.spawn(on_another_thread).join());
    let python = python.expect("no panic").expect("Python lives");
    attach("main", |_| ()).expect("Python lives on");
    let report = python.finalize().expect("it is finalized outside");
    assert!(report.is_complete(), "{report}");
}

fn refused(python: Interpreter) -> Interpreter {
    let refused = python.finalize().expect_err("this thread is inside");
    assert_eq!(refused.status(), Status::State);
    assert_eq!(refused.to_string(), "Python was not finalized: this thread is inside Python");
    refused.into_interpreter()
}

fn dropped_inside() {
    let python = start().expect("Python starts");
    attach("main", |_| drop(python)).expect("Python lives");
    attach("main", |_| ()).expect("Python lives on");
}

fn no_python() {
    eprintln!("{}", start().expect_err("Python has no library"));
    attach("main", |_| ()).expect_err("there is no Python");
}

fn twice() {
    let python = start().expect("Python starts");
    let text = start().expect_err("it lives").to_string();
    assert!(text.contains("started before"), "{text}");
    // SAFETY: it is refused.
    let text = unsafe { start_again() }.expect_err("it lives").to_string();
    assert!(text.contains("started already"), "{text}");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    let text = start().expect_err("PyO3 has references to the first").to_string();
    assert!(text.contains("start_again"), "{text}");
}

fn taken_over() {
    Python::initialize();
    let python = Python::attach(|_| start()).expect("Python runs");
    Python::attach(|py| py.run(c"print('taken over')", None, None)).expect("it prints");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.left_alone(), None);
}

fn at_once() {
    let started = std::thread::scope(|scope| {
        let threads = Vec::from_iter((0..8).map(|_| scope.spawn(start)));
        Vec::from_iter(
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic").ok()),
        )
    });
    assert_eq!(started.len(), 1);
    attach("main", |_| ()).expect("Python lives");
}
