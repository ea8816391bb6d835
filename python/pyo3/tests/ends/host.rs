//! A program under test: what it does, and what is seen of it from outside.

use std::env;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const CASE: &str = "RTFINALIZE_PYO3_CASE";

/// A hang.
const LONGEST: Duration = Duration::from_secs(60);

/// A program, and what is expected of it.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// The program's `main`.
    pub host: fn(),
    /// Fails if something else came of it.
    pub check: fn(Outcome),
    /// Stdout is a pipe that is read only after the end.
    pub is_unread: bool,
    pub environment: &'static [(&'static str, &'static str)],
}

impl Case {
    pub const fn new(name: &'static str, host: fn(), check: fn(Outcome)) -> Case {
        Case { name, host, check, is_unread: false, environment: &[] }
    }
}

/// The name of the case that this process is to be; `None` if it is to run the tests.
pub fn asked_for() -> Option<String> {
    env::var(CASE).ok()
}

/// What was seen of a program.
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Outcome {
    /// Runs the program of `case`, to its end.
    pub fn of(case: &Case) -> Outcome {
        let mut command = Command::new(env::current_exe().expect("the test has a file"));
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PYTHON") || text.starts_with("RTFINALIZE") {
                command.env_remove(&name);
            }
        }
        // By itself an embedded Python finds the library of one in PATH, which may be another.
        command.env("PYTHONHOME", env!("TESTED_PYTHONHOME"));
        command.env(CASE, case.name).envs(case.environment.iter().copied());
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("the test can be run");
        let id = child.id();
        let mut stdout = child.stdout.take();
        let stderr = child.stderr.take().map(reader);
        let read_at_once = if case.is_unread { None } else { stdout.take().map(reader) };
        let (end, ended) = mpsc::channel();
        let waits = thread::spawn(move || {
            let _ = end.send(child.wait());
        });
        let status = ended.recv_timeout(LONGEST);
        if status.is_err() {
            // SAFETY: the process is our child, and is not waited for yet.
            unsafe { libc::kill(id.cast_signed(), libc::SIGKILL) };
        }
        let [stdout, stderr] = [read_at_once.or_else(|| stdout.map(reader)), stderr]
            .map(|reader| reader.expect("it is piped").join().expect("it can be read"));
        waits.join().expect("the program can be waited for");
        let Ok(Ok(status)) = status else {
            panic!("it hangs; {}", both(&stdout, &stderr));
        };
        assert_eq!(status.signal(), None, "it is killed; {}", both(&stdout, &stderr));
        Outcome { stdout, stderr, code: status.code() }
    }

    /// It ended well, and wrote this.
    pub fn wrote(&self, expected: &str) {
        self.ended_by(0);
        assert_eq!(self.stdout, expected, "stderr: {}", self.stderr);
    }

    pub fn ended_by(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}", both(&self.stdout, &self.stderr));
    }

    /// A line on stderr has this in it.
    pub fn told(&self, expected: &str) {
        let stderr = &self.stderr;
        assert!(
            stderr.lines().any(|line| line.contains(expected)),
            "{expected:?} is not in: {stderr}"
        );
    }
}

/// For a person.
fn both(stdout: &str, stderr: &str) -> String {
    let cut = |text: &str| text.chars().take(2000).collect::<String>();
    format!("stdout: {}\nstderr: {}", cut(stdout), cut(stderr))
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("the programs write UTF-8")
    })
}

/// In a program: waits until something is so.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + LONGEST / 2;
    while !is_so() {
        assert!(Instant::now() < until, "it never came: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
