//! References that outlive the stay in which they were made.

use crate::host::Case;
use pyo3::prelude::*;
use rtfinalize_pyo3::{attach, start};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

pub const CASES: &[Case] = &[
    Case::new("an_object_dropped_outside_is_destroyed_before_the_end", dropped_before, |it| {
        it.wrote("destroyed\n");
    }),
    Case::new("an_object_dropped_after_the_end_does_no_harm", dropped_after, |it| it.wrote("")),
    Case::new("what_needs_python_panics_after_the_end", used_after, |it| it.wrote("")),
    Case::new("an_error_dropped_after_the_end_does_no_harm", error_dropped_after, |it| {
        it.wrote("")
    }),
];

/// One that says when it is destroyed.
fn an_object() -> Py<PyAny> {
    let code = c"
class Object:
    def __del__(self):
        print('destroyed')
    def quiet(self):
        type(self).__del__ = lambda self: None
";
    attach("main", |py| {
        py.run(code, None, None).expect("a class");
        py.eval(c"Object()", None, None).expect("an object").unbind()
    })
    .expect("Python lives")
}

fn dropped_before() {
    let python = start().expect("Python starts");
    let object = an_object();
    thread::spawn(move || drop(object)).join().expect("no panic");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
}

fn dropped_after() {
    let python = start().expect("Python starts");
    let object = an_object();
    attach("main", |py| object.call_method0(py, "quiet").map(drop))
        .expect("Python lives")
        .expect("no exception");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    thread::spawn(move || drop(object)).join().expect("no panic");
}

fn error_dropped_after() {
    let python = start().expect("Python starts");
    let error = attach("main", |py| py.run(c"1 / 0", None, None).expect_err("it raises"))
        .expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    drop(error);
}

fn used_after() {
    let python = start().expect("Python starts");
    let error = attach("main", |py| py.run(c"1 / 0", None, None).expect_err("it raises"))
        .expect("Python lives");
    let report = python.finalize().expect("it is finalized");
    assert!(report.is_complete(), "{report}");
    assert_eq!(Python::try_attach(|_| ()), None);
    catch_unwind(|| Python::attach(|_| ())).expect_err("there is no Python");
    catch_unwind(AssertUnwindSafe(|| error.to_string())).expect_err("the text is Python's");
}
