//! What never ends, and a deadline.

use crate::host::{Case, wait_until};
use rtfinalize_pyo3::{Options, Report, attach, start};
use std::ffi::CStr;
use std::thread;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case {
        is_unread: true,
        ..Case::new("a_daemon_thread_stuck_in_a_full_pipe_is_named", full_pipe, |it| {
            it.ended_by(0);
            it.told("<stdout>");
            let whole = it.stdout.lines().take_while(|line| *line == "x".repeat(99)).count();
            assert!(it.stdout.len() - whole * 100 < 100, "bytes are out of order");
        })
    },
    Case::new("an_exit_callback_that_never_ends_is_interrupted_at_the_deadline", callback, |it| {
        it.wrote("KeyboardInterrupt\nRust goes on\n");
    }),
    Case::new("the_process_ends_at_the_deadline_if_that_is_wanted", ends_process, |it| {
        it.ended_by(7);
        assert_eq!(it.stdout, "the last words\n", "stderr: {}", it.stderr);
    }),
    Case {
        environment: &[("RTFINALIZE_DEADLINE", "500ms")],
        ..Case::new("the_environment_bounds_a_handle_that_is_dropped", dropped, |it| {
            it.wrote("KeyboardInterrupt\n");
            it.told("rtfinalize: 'python'");
        })
    },
    Case::new("a_thread_that_stays_inside_leaves_python_alone_at_the_deadline", stays, |it| {
        it.wrote("before\n");
    }),
];

fn run(code: &CStr) {
    attach("main", |py| py.run(code, None, None).expect("it runs")).expect("Python lives");
}

fn in_half_a_second() -> Options {
    Options::new().deadline(Duration::from_millis(500))
}

/// Whether a thread is stuck in a write to stdout, by the system's word.
fn is_stuck_in_write() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux says what threads there are");
    let write_to_stdout = format!("{} 0x1 ", libc::SYS_write);
    threads.flatten().any(|thread| {
        let call = std::fs::read_to_string(thread.path().join("syscall"));
        call.is_ok_and(|call| call.starts_with(&write_to_stdout))
    })
}

fn full_pipe() {
    let python = start().expect("Python starts");
    run(c"
import threading
def write():
    while True:
        print('x' * 99)
threading.Thread(target=write, daemon=True, name='writer').start()
");
    wait_until("a write that waits", is_stuck_in_write);
    let options = Options::new().grace(Duration::from_millis(100));
    let report =
        python.finalize_with(options.deadline(Duration::from_secs(2))).expect("it is finalized");
    assert!(!report.is_complete(), "{report}");
    assert!(report.blocked.iter().any(|wait| wait.what.contains("<stdout>")), "{report}");
    // It may come back from the system call as the pipe is read.
    assert!(report.left_alone().is_some_and(|why| why.contains("writer")), "{report}");
}

const NEVER_ENDS: &CStr = c"
import atexit, threading
def never():
    try:
        while True:
            threading.Event().wait(0.01)
    except KeyboardInterrupt:
        print('KeyboardInterrupt')
atexit.register(never)
";

fn callback() {
    let python = start().expect("Python starts");
    run(NEVER_ENDS);
    let report: Report = python.finalize_with(in_half_a_second()).expect("it is finalized");
    assert!(!report.is_complete(), "{report}");
    assert_eq!(report.left_alone(), None);
    println!("Rust goes on");
}

fn ends_process() {
    let python = start().expect("Python starts");
    run(c"
import atexit, time
def never():
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass
atexit.register(never)
print('the last words')
");
    let report = python.finalize_with(in_half_a_second().exit_at_deadline(7));
    panic!("it lives on: {report:?}");
}

fn dropped() {
    let _python = start().expect("Python starts");
    run(NEVER_ENDS);
}

fn stays() {
    let python = start().expect("Python starts");
    let (goes, going) = std::sync::mpsc::channel();
    thread::spawn(move || {
        attach("stays", |py| {
            py.run(c"print('before')", None, None).expect("it prints");
            goes.send(()).expect("main waits");
            py.detach(|| {
                loop {
                    thread::park();
                }
            })
        })
    });
    going.recv().expect("the thread is inside");
    let report = python.finalize_with(in_half_a_second()).expect("it is finalized");
    assert!(!report.is_complete(), "{report}");
    assert!(report.left_alone().is_some(), "{report}");
    assert!(report.to_string().contains("stays"), "{report}");
}
