//! Where a writer's bytes go: a descriptor, or the host's callbacks.
//!
//! A raw write says exactly how many bytes were taken, or takes none. So that a writer's lock is
//! never held over a wait, a raw write also does not wait where the system lets us say so: the wait
//! for room is a call of its own. Regular files are written plainly.

use crate::status::{Error, Result, Status};
use crate::sync::Deadline;
use crate::text::FixedText;
use crate::thread::host_call::{self, Stopped};
use libc::{c_int, c_void};
use std::fmt;
use std::time::Duration;

#[cfg(windows)]
pub(crate) mod c_runtime;
#[cfg(unix)]
mod descriptor;
#[cfg(windows)]
#[path = "io/handle.rs"]
mod descriptor;
#[cfg(unix)]
mod errno;
#[cfg(windows)]
mod pipe;
#[cfg(unix)]
mod poll;
#[cfg(windows)]
mod query;
#[cfg(unix)]
mod sigpipe;
pub(crate) mod standard_error;
#[cfg(windows)]
pub(crate) mod worker;

#[cfg(windows)]
use descriptor::Spot;
pub use descriptor::{Descriptor, Polled, wait_for_room};
#[cfg(windows)]
pub use query::Handle;

/// The most one raw write may take: its count fits the lock's progress cell.
pub(crate) const RAW_WRITE_MAX: usize = 1 << 30;

/// Why a raw write took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room now.
    WouldBlock,
    /// An `errno`.
    Errno(i32),
    /// The number of an error of the system's own: Windows'.
    System(u32),
    /// A callback gave no answer.
    Stopped(Stopped),
    /// The writer is sealed; nothing was offered.
    Sealed,
    /// It returned in the child of a fork: the parent hears what was taken.
    Forked,
    /// It has not returned yet.
    #[cfg(windows)]
    UnderWay,
}

impl Refused {
    /// The error to give to the host.
    pub fn error(self, writer: &str) -> Error {
        match self {
            Refused::WouldBlock => Status::WouldBlock.because(format!("writer '{writer}' is full")),
            #[cfg(windows)]
            Refused::UnderWay => {
                Status::WouldBlock.because(format!("a write of writer '{writer}' has not returned"))
            }
            Refused::Errno(libc::EBADF) => {
                Status::BadDescriptor.because(format!("writer '{writer}'"))
            }
            Refused::Errno(_) | Refused::System(_) => {
                Status::Io.because(format!("writer '{writer}': {}", self.system_text()))
            }
            Refused::Sealed => Status::Finalizing.because(format!("writer '{writer}'")),
            Refused::Forked => forked(writer),
            Refused::Stopped(stopped) => {
                let how = stopped.text();
                Status::Callback.because(format!("writer '{writer}': callback {how}"))
            }
        }
    }

    /// The error of a raw write to descriptor `fd`.
    fn error_at(self, fd: c_int) -> Error {
        match self {
            Refused::Errno(libc::EBADF) => {
                Status::BadDescriptor.because(format!("descriptor {fd}"))
            }
            Refused::Errno(_) | Refused::System(_) => {
                Status::Io.because(format!("descriptor {fd}: {}", self.system_text()))
            }
            _ => Status::BadDescriptor.because(format!("descriptor {fd}")),
        }
    }

    /// What the system says of its error.
    fn system_text(self) -> String {
        match self {
            Refused::Errno(errno) => descriptor::errno_text(errno),
            Refused::System(error) => {
                std::io::Error::from_raw_os_error(error.cast_signed()).to_string()
            }
            other => format!("{other:?}"),
        }
    }
}

/// For an operation that began in the process this one was forked from.
pub(crate) fn forked(writer: &str) -> Error {
    let what = format!(
        "writer '{writer}': the process was forked inside this call; the record is the parent's"
    );
    Status::State.because(what)
}

/// A host's own destination.
#[derive(Clone, Copy)]
pub struct Callbacks {
    /// Takes up to `len` bytes: returns how many, or a negative `errno`.
    pub(crate) write: Write,
    /// Waits up to `timeout_us` (negative: indefinitely) for room; 0 when there may be some. Optional:
    /// without it, a writer that got `EAGAIN` gives `WouldBlock` to its caller.
    pub(crate) wait: Option<Wait>,
    /// Called once when the writer is closed or abandoned. Optional.
    pub(crate) close: Option<Close>,
    /// Passed to all of them.
    pub(crate) arg: *mut c_void,
}

/// Takes up to `len` bytes from `data`: returns how many, or a negative `errno`.
pub type Write =
    unsafe extern "C-unwind" fn(arg: *mut c_void, data: *const c_void, len: usize) -> i64;
/// Waits up to `timeout_us` for room; 0 when there may be some.
pub type Wait = unsafe extern "C-unwind" fn(arg: *mut c_void, timeout_us: i64) -> c_int;
/// Hears that the writer is closed or abandoned; negative is an `errno`.
pub type Close = unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int;

impl Callbacks {
    /// A destination of these functions.
    ///
    /// # Safety
    /// Each is callable with `arg`, from any thread, one at a time, until a writer over it is closed or its
    /// runtime finalized.
    pub unsafe fn new(
        write: Write,
        wait: Option<Wait>,
        close: Option<Close>,
        arg: *mut c_void,
    ) -> Callbacks {
        Callbacks { write, wait, close, arg }
    }
}

// SAFETY: the host promises, by making a writer of them, that they may be called from any thread
// that uses the writer, one at a time.
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

/// A destination.
pub enum Sink {
    /// A descriptor.
    Descriptor(Descriptor),
    /// Callbacks.
    Callbacks(Callbacks),
}

impl Sink {
    /// Offers `data`: how many bytes were taken, at least one, or why none.
    pub(crate) fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        let data = &data[..data.len().min(RAW_WRITE_MAX)];
        match self {
            Sink::Descriptor(descriptor) => descriptor.write(data),
            Sink::Callbacks(host) => {
                let (pointer, len) = (data.as_ptr().cast(), data.len());
                let mut taken = Ok(-i64::from(libc::EINTR));
                for _ in 0..INTERRUPTIONS {
                    if taken != Ok(-i64::from(libc::EINTR)) {
                        break;
                    }
                    let code = host.write as *const ();
                    // SAFETY: by the contract of `Callbacks`; the data outlives the call.
                    taken =
                        host_call::run(code, || unsafe { (host.write)(host.arg, pointer, len) });
                }
                let answer = taken.map_err(Refused::Stopped)?;
                match usize::try_from(answer) {
                    Ok(0) => Err(Refused::WouldBlock),
                    // More than was offered cannot have been taken: the callback is wrong.
                    Ok(taken) if taken > len => Err(Refused::Errno(libc::EOVERFLOW)),
                    Ok(taken) => Ok(taken),
                    Err(_) => Err(refusal(answer)),
                }
            }
        }
    }

    /// Whether a write has to be made by a hand to return in time.
    #[cfg(windows)]
    pub(crate) fn may_wait(&self) -> bool {
        matches!(self, Sink::Descriptor(descriptor) if descriptor.may_wait())
    }

    /// As [`write`](Sink::write), and returns soon: see `Descriptor::write_in_time`.
    #[cfg(windows)]
    pub(crate) fn write_in_time(
        &self,
        crew: worker::Crew,
        data: &[u8],
    ) -> std::result::Result<usize, Refused> {
        match self {
            Sink::Descriptor(descriptor) => descriptor.write_in_time(crew, data),
            Sink::Callbacks(_) => self.write(data),
        }
    }

    /// What came of a write that had not returned: see `Descriptor::outcome`.
    #[cfg(windows)]
    pub(crate) fn outcome(&self) -> Option<std::result::Result<usize, Refused>> {
        match self {
            Sink::Descriptor(descriptor) => descriptor.outcome(),
            Sink::Callbacks(_) => None,
        }
    }

    /// A thread ended in the middle of a write.
    #[cfg(windows)]
    pub(crate) fn note_cut_off(&self) {
        if let Sink::Descriptor(descriptor) = self {
            descriptor.note_cut_off();
        }
    }

    /// Ends a write that has not returned, or gives up on it: how much was taken, if that is certain.
    #[cfg(windows)]
    pub(crate) fn give_up(&self) -> Option<usize> {
        match self {
            Sink::Descriptor(descriptor) => descriptor.give_up(),
            Sink::Callbacks(_) => None,
        }
    }

    /// Waits until there may be room, or until `deadline`.
    ///
    /// # Errors
    /// `Timeout`; `WouldBlock` if callbacks offer no way to wait.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        match self {
            Sink::Descriptor(descriptor) => descriptor.wait(deadline),
            Sink::Callbacks(Callbacks { wait: None, .. }) => Err(Status::WouldBlock.error()),
            Sink::Callbacks(Callbacks { wait: Some(wait), arg, .. }) => {
                let us =
                    deadline.left().map_or(-1, |left| left.as_micros().try_into().unwrap_or(-1));
                // SAFETY: by the contract of `Callbacks`.
                match host_call::run(*wait as *const (), || unsafe { wait(*arg, us) }) {
                    Ok(0) => Ok(()),
                    Ok(1..) => Err(Status::Timeout.error()),
                    _ => Err(Status::Callback.because("the writer's wait callback failed")),
                }
            }
        }
    }

    /// The descriptor to poll, if there is one.
    pub(crate) fn descriptor(&self) -> Option<Polled> {
        match self {
            Sink::Descriptor(descriptor) => Some(descriptor.polled()),
            Sink::Callbacks(_) => None,
        }
    }

    /// As [`close`](Sink::close), by `deadline` or soon: see `Descriptor::close_in_time`.
    #[cfg(windows)]
    pub(crate) fn close_in_time(
        &self,
        owned: bool,
        crew: worker::Crew,
        deadline: Deadline,
    ) -> std::result::Result<(), Refused> {
        match self {
            Sink::Descriptor(descriptor) if owned => {
                // SAFETY: the host gave the descriptor away.
                unsafe { descriptor.close_in_time(crew, deadline) }
            }
            _ => self.close(owned),
        }
    }

    /// Closes a descriptor it owns, or tells the callbacks.
    pub(crate) fn close(&self, owned: bool) -> std::result::Result<(), Refused> {
        match self {
            Sink::Descriptor(descriptor) if owned => {
                // SAFETY: the host gave the descriptor away.
                unsafe { descriptor.close() }
            }
            Sink::Callbacks(Callbacks { close: Some(close), arg, .. }) => {
                // SAFETY: by the contract of `Callbacks`.
                match host_call::run(*close as *const (), || unsafe { close(*arg) }) {
                    Ok(code) if code >= 0 => Ok(()),
                    Ok(code) => Err(refusal(code.into())),
                    Err(stopped) => Err(Refused::Stopped(stopped)),
                }
            }
            _ => Ok(()),
        }
    }
}

fn is_would_block(error: i32) -> bool {
    error == libc::EAGAIN || error == libc::EWOULDBLOCK
}

/// What a callback's negative answer means; one that is no `errno` is a failure like any other.
fn refusal(answer: i64) -> Refused {
    match answer.checked_neg().and_then(|error| i32::try_from(error).ok()) {
        Some(error) if is_would_block(error) => Refused::WouldBlock,
        Some(error) => Refused::Errno(error),
        None => Refused::Errno(libc::EIO),
    }
}

/// How often in a row a callback may say that a signal interrupted it.
const INTERRUPTIONS: u32 = 1000;

/// Writes all of `data` to a descriptor, waiting for room until `deadline`.
///
/// # Errors
/// `BadDescriptor`, `Io`, `Timeout`: a part may have been written.
pub(crate) fn write_all(fd: c_int, data: &[u8], deadline: Deadline) -> Result<()> {
    #[cfg(windows)]
    if let Some(answer) = worker::write_all_in_time(fd, data, deadline) {
        return answer;
    }
    write_waiting(fd, data, || deadline)
}

/// Writes all of `data` to a descriptor, waiting for room for as long as some comes every `stuck`.
///
/// # Errors
/// As [`write_all`].
pub(crate) fn write_all_unless_stuck(fd: c_int, data: &[u8], stuck: Duration) -> Result<()> {
    // A hand is given a time for the whole.
    #[cfg(windows)]
    if let Some(answer) = worker::write_all_in_time(fd, data, Deadline::after(stuck)) {
        return answer;
    }
    write_waiting(fd, data, || Deadline::after(stuck))
}

/// Writes all of `data` to a descriptor; `until` says how long each wait for room may last.
fn write_waiting(fd: c_int, data: &[u8], until: impl Fn() -> Deadline) -> Result<()> {
    // SAFETY: the caller keeps it open for the length of the call.
    let descriptor = unsafe { Descriptor::new(fd) }?;
    let mut rest = data;
    while !rest.is_empty() {
        match descriptor.write(rest) {
            Ok(taken) => rest = &rest[taken..],
            Err(Refused::WouldBlock) => descriptor.wait(until())?,
            Err(refused) => return Err(refused.error_at(fd)),
        }
    }
    Ok(())
}

/// The descriptor of stderr.
pub(crate) const STDERR: c_int = 2;

/// Writes a line to stderr, in one piece. One that nobody reads is not worth a wait, nor a signal. Allocates nothing
/// but where stderr cannot be written.
pub(crate) fn tell(line: fmt::Arguments<'_>) {
    if !standard_error::is_stderr() {
        return;
    }
    let mut line = FixedText::<2048>::of(line);
    let _ = write_all(STDERR, line.line(), Deadline::after_us(0));
}

/// As [`tell`], of a line that is whole, with nothing allocated. What finds no room is lost.
pub(crate) fn tell_at_once(line: &[u8]) {
    if !standard_error::is_stderr() {
        return;
    }
    Descriptor::write_at_once_to_stderr(line);
}
