//! The last word: the end of a process whose finalization has overrun for good (law 9).
//!
//! Some thread may be stuck anywhere: in a callback, in `malloc`, with a writer's lock. So from here to
//! `_exit` nothing is allocated, no lock is taken, no host code runs, and the system calls are those a
//! signal handler may make. What the writers hold is written as far as that is safe
//! ([`crate::runtime::writer`]), and one line says what became of it. Only what comes after that, the report that may have been
//! wished for, is free to allocate and to lock.

use crate::io::Descriptor;
use crate::io::Refused;
use crate::io::standard_error;
use crate::phase::Phase;
#[cfg(windows)]
use crate::runtime::options::DEFAULT_EXIT_CODE;
use crate::runtime::writer::HARD_EXIT_KILLED;
use crate::runtime::writer::{Toll, rescue_all};
use crate::sync::{AtomicI32, AtomicU32, Deadline, Ordering, fork, sleep};
use crate::text::FixedText;
use std::fmt::Write;
use std::time::Duration;

/// For all writers together: how long destinations may take to have room, and operations to end.
const RESCUE: Duration = Duration::from_millis(250);

/// How long stderr may take to have room.
const TELL: Duration = Duration::from_millis(250);

/// How long the last word may take before it is cut short, where nothing of it should have blocked.
const LIMIT: Duration = Duration::from_secs(1);

/// The process in which it has begun: its generation plus one. A fork leaves it to the parent.
static BEGUN: AtomicU32 = AtomicU32::new(0);
/// The process in which it is said, and what is left is the report: as above.
static SAID: AtomicU32 = AtomicU32::new(0);
/// What the process ends with.
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);
/// The thread that says it.
static SPEAKER: AtomicU32 = AtomicU32::new(0);

/// Writes what the writers hold, as far as that is safe, says in one line on stderr that `runtime`
/// has overrun in `phase`, `during` what, and what became of the bytes; and ends the process. `rouse` wakes
/// the thread that calls [`cut_short_in_time`], which bounds `report`, too: what is done at the very end.
pub fn end_process(
    exit_code: i32,
    runtime: &str,
    phase: Phase,
    during: &[&str],
    rouse: impl FnOnce(),
    report: impl FnOnce(),
) -> ! {
    let me = fork::generation() + 1;
    // SeqCst: who is roused sees it. Of all who come in one process one finds another number.
    if BEGUN.swap(me, Ordering::SeqCst) == me {
        crate::sync::sleep_indefinitely(HARD_EXIT_KILLED);
    }
    EXIT_CODE.store(exit_code, Ordering::SeqCst);
    SPEAKER.store(crate::sys::cell::current_tid(), Ordering::SeqCst);
    system::hold_signals();
    rouse();
    let toll = rescue_all(Deadline::after(RESCUE));
    let mut line = Line::new();
    compose(&mut line, exit_code, runtime, phase, during, &toll);
    tell(line.line());
    SAID.store(me, Ordering::SeqCst);
    report();
    system::end(exit_code)
}

/// The same where the process ends already and has killed its other threads, `because` of which this
/// one cannot go on.
#[cfg(windows)]
pub(crate) fn end_killed_process(because: &str) -> ! {
    let toll = rescue_all(Deadline::after(RESCUE));
    let mut line = Line::new();
    line.room_for(DURING_ROOM, |line| {
        let _ = write!(line, "rtfinalize: {because} as the process ended");
    });
    line.room_for(SIZE - 1, |line| tell_toll(&toll, line, DEFAULT_EXIT_CODE));
    tell(line.line());
    system::end(DEFAULT_EXIT_CODE)
}

/// Whether the process has begun to end by its last word.
pub(crate) fn has_begun() -> bool {
    BEGUN.load(Ordering::SeqCst) == fork::generation() + 1
}

/// Ends the process, by another thread than the one that says the last word, if that is stuck in it.
pub(crate) fn cut_short_in_time() -> ! {
    sleep(LIMIT);
    let exit_code = EXIT_CODE.load(Ordering::SeqCst);
    let mut line = Line::new();
    if SAID.load(Ordering::SeqCst) == fork::generation() + 1 {
        let _ = line.write_str("rtfinalize: the report could not be written in time");
        Descriptor::write_to_stderr_or_not(line.line());
        system::end(exit_code);
    }
    line.room_for(DURING_ROOM, |line| {
        let _ = line.write_str("rtfinalize: the last writes of the process did not return");
        crate::sys::thread_activity::write(SPEAKER.load(Ordering::SeqCst), line);
    });
    line.room_for(SIZE - 1, |line| {
        let _ = write!(line, "; what the writers held is not counted; exit code {exit_code}");
    });
    Descriptor::write_to_stderr_or_not(line.line());
    system::end(exit_code)
}

#[cfg(unix)]
mod system {
    /// A signal's handler could keep this thread, and SIGPIPE end the process with another code.
    pub fn hold_signals() {
        // SAFETY: the set is filled before it is used.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        }
    }

    pub fn end(exit_code: i32) -> ! {
        // SAFETY: ends the process.
        unsafe { libc::_exit(exit_code) }
    }
}

#[cfg(windows)]
mod system {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};

    pub fn hold_signals() {}

    /// `ExitProcess` would wait for the loader's lock, and call every library's `DllMain`.
    pub fn end(exit_code: i32) -> ! {
        loop {
            // SAFETY: ends the process; the loop is for the moment until it has.
            unsafe { TerminateProcess(GetCurrentProcess(), exit_code.cast_unsigned()) };
        }
    }
}

fn compose(
    line: &mut Line,
    exit_code: i32,
    runtime: &str,
    phase: Phase,
    during: &[&str],
    toll: &Toll,
) {
    line.room_for(NAME_ROOM, |line| {
        let _ = write!(line, "rtfinalize: '{runtime}");
    });
    line.room_for(DURING_ROOM, |line| {
        let _ = write!(line, "' overran its deadline in the phase {}", phase.name());
        for (at, piece) in during.iter().enumerate() {
            let _ = line.write_str(if at == 0 { ", in " } else { "" });
            let _ = line.write_str(piece);
        }
    });
    line.room_for(SIZE - 1, |line| tell_toll(toll, line, exit_code));
}

/// What became of the bytes.
fn tell_toll(toll: &Toll, line: &mut Line, exit_code: i32) {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let Toll { written, lost, losers, in_flight } = *toll;
    let _ = write!(line, ": {written} byte{} written at the last moment", plural(written));
    let _ = match losers {
        0 => write!(line, ", none lost"),
        _ => write!(
            line,
            ", {lost} byte{} of {losers} writer{} not written",
            plural(lost),
            plural(losers.into())
        ),
    };
    if in_flight > 0 {
        let _ = write!(line, " ({in_flight} of them in a write that has not returned)");
    }
    let _ = write!(line, "; exit code {exit_code}");
}

const SIZE: usize = 1024;
/// Where the runtime's name is cut.
const NAME_ROOM: usize = 128;
/// Where what it was in is cut: the numbers behind always have room.
const DURING_ROOM: usize = 700;

/// The line, with room for its newline.
type Line = FixedText<SIZE>;

fn tell(line: &[u8]) {
    let Some(stderr) = Descriptor::stderr().filter(|_| standard_error::is_stderr()) else { return };
    let deadline = Deadline::after(TELL);
    let mut rest = line;
    while !rest.is_empty() {
        match stderr.write_at_last(rest, deadline) {
            Ok(taken) => rest = &rest[taken..],
            Err(Refused::WouldBlock) if !deadline.passed() => {
                let _ = stderr.wait(deadline);
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::{
        io::Sink,
        runtime::Runtime,
        runtime::writer::{Writer, WriterOptions},
    };

    fn line(runtime: &str, during: &[&str], toll: Toll) -> String {
        let mut line = Line::new();
        compose(&mut line, 75, runtime, Phase::AtExit, during, &toll);
        String::from_utf8(line.line().to_vec()).unwrap()
    }

    #[test]
    fn the_line_says_where_it_ended_and_what_became_of_the_bytes() {
        let toll = Toll { written: 1, lost: 1200, losers: 2, in_flight: 200 };
        assert_eq!(
            line("main", &["the callback '", "log", "'"], toll),
            "rtfinalize: 'main' overran its deadline in the phase atexit, in the callback 'log': \
             1 byte written at the last moment, 1200 bytes of 2 writers not written (200 of them in \
             a write that has not returned); exit code 75\n"
        );
        assert_eq!(
            line("main", &[], Toll::default()),
            "rtfinalize: 'main' overran its deadline in the phase atexit: 0 bytes written at the \
             last moment, none lost; exit code 75\n"
        );
    }

    #[test]
    fn no_name_breaks_the_line_or_crowds_out_the_numbers() {
        let lost = || Toll { written: u64::MAX, lost: u64::MAX, losers: 9, in_flight: u64::MAX };
        let long = "é".repeat(2000);
        let line = line(&long, &["two\nlines\u{85}", &long, "'"], lost());
        assert!(line.ends_with("; exit code 75\n"), "{line}");
        assert!(line.len() <= SIZE && line.contains("two?lines?"), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
    }

    /// The bytes that arrive when a process ends by its last word.
    #[cfg(unix)]
    fn arrived(in_child: impl FnOnce(libc::c_int)) -> Vec<u8> {
        let mut ends = [0; 2];
        // SAFETY: the child ends in `in_child`, and the parent waits for it.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let child = libc::fork();
            if child == 0 {
                in_child(ends[1]);
                libc::_exit(1);
            }
            libc::close(ends[1]);
            let mut status = 0;
            let mut arrived = vec![0; 1 << 20];
            let count = libc::read(ends[0], arrived.as_mut_ptr().cast(), arrived.len());
            arrived.truncate(usize::try_from(count).unwrap());
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 75));
            libc::close(ends[0]);
            arrived
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_under_a_lock_that_is_kept_arrive() {
        let arrived = arrived(|fd| {
            let runtime = Runtime::new("kept");
            // SAFETY: the pipe's end stays open until the process ends.
            let sink = Sink::Descriptor(unsafe { Descriptor::new(fd) }.unwrap());
            let writer = Writer::new(&runtime, sink, WriterOptions::default()).unwrap();
            writer.lock(Deadline::NEVER).unwrap();
            writer.write(b"kept\n", Deadline::NEVER).unwrap();
            let other = writer.clone();
            let _ = std::thread::spawn(move || other.write(b"never\n", Deadline::NEVER));
            end_process(75, "kept", Phase::AtExit, &[], || {}, || {});
        });
        assert_eq!(arrived, b"kept\n");
    }
}
