//! A Windows handle as a destination, and a descriptor of the C runtime.
//!
//! Windows has neither a write that does not wait nor a way to wait for room. What a pipe has room for
//! can be asked, and is 0 also when its reader waits with a buffer of the pipe's size: then the pipe is
//! told not to wait for the length of one write. A handle opened for overlapped I/O is refused: a plain
//! write to it may go on after it has returned.
//!
//! Every such call waits for other threads' operations on the handle. Where that must end in time a
//! [`hand`] makes it.

use super::hand::{self, Crew, Sent};
use super::{Refused, c_runtime};
use crate::process_end;
use crate::status::{Result, Status};
use crate::sync::{Deadline, Mutex};
use libc::c_int;
use std::time::Duration;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_LOCAL_INFORMATION, FILE_SYNCHRONOUS_IO_ALERT, FILE_SYNCHRONOUS_IO_NONALERT,
    FileAccessInformation, FileModeInformation, FilePipeLocalInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_BUSY, ERROR_INVALID_HANDLE, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_APPEND_DATA, FILE_TYPE_CHAR, FILE_TYPE_DISK, FILE_TYPE_PIPE, FILE_WRITE_DATA, GetFileType,
    WriteFile,
};
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::Pipes::{PIPE_NOWAIT, PIPE_WAIT, SetNamedPipeHandleState};

/// An open handle of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub HANDLE);

// SAFETY: a handle belongs to the process; any thread may use it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// The handle behind a descriptor of the C runtime that this library is linked to.
    pub(crate) fn of_descriptor(fd: c_int) -> Option<Handle> {
        c_runtime::handle_of(fd)
    }

    /// Whether calls on it wait for their end; `None` if it does not say.
    pub(crate) fn is_synchronous(self) -> Option<bool> {
        let (mut mode, waits) = (0, FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT);
        ask(self, FileModeInformation, &mut mode).then_some(mode & waits != 0)
    }
}

/// What [`wait_for_room`] waits by: nothing that the system offers.
pub type Polled = Handle;

/// How often a full pipe is tried.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until one of them may have room, or until `deadline`.
///
/// # Errors
/// `Timeout`.
pub fn wait_for_room(_: &[Polled], deadline: Deadline) -> Result<()> {
    if deadline.passed() {
        return Err(Status::Timeout.error());
    }
    crate::sync::sleep(deadline.left().map_or(PAUSE, |left| left.min(PAUSE)));
    Ok(())
}

/// What the C runtime says of an `errno`.
pub(super) fn errno_text(errno: i32) -> String {
    // SAFETY: the text is the C runtime's and this thread's until its next call.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::strerror(errno)) };
    format!("{} (errno {errno})", text.to_string_lossy())
}

/// How it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it is: a disk file has room or an error.
    Plain,
    /// As it is: a console or another device.
    Device,
    /// Only as much as there is room for.
    Pipe,
    /// The process's stderr, looked at with every write.
    Stderr,
    /// A descriptor that is looked at with every write.
    Unseen,
    /// A disk file's descriptor, by the C runtime: it alone knows that every write goes to the end.
    Runtime,
}

/// What is written, and how.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) handle: Handle,
    /// -1 if it was given as a handle.
    fd: c_int,
    way: Way,
}

/// A handle, or a descriptor of the C runtime that this library is linked to.
pub struct Descriptor {
    pub(super) spot: Spot,
    /// A write that has not returned yet.
    sent: Mutex<Option<Sent>>,
}

impl Descriptor {
    /// Looks at what `fd` is.
    ///
    /// # Errors
    /// `BadDescriptor` if it is closed or cannot be written.
    pub fn new(fd: c_int) -> Result<Descriptor> {
        Descriptor::look(fd)
            .map_err(|what| Status::BadDescriptor.because(format!("descriptor {fd}{what}")))
    }

    fn look(fd: c_int) -> std::result::Result<Descriptor, &'static str> {
        let handle = c_runtime::handle_of(fd).ok_or("")?;
        let way = way_of(handle)?;
        let way = if way == Way::Plain { Way::Runtime } else { way };
        Ok(Spot { handle, fd, way }.into())
    }

    /// Looks at what `handle` is.
    ///
    /// # Errors
    /// `BadDescriptor` if it is closed, cannot be written, or was opened for overlapped I/O.
    pub fn of_handle(handle: Handle) -> Result<Descriptor> {
        let way = way_of(handle).map_err(|what| {
            Status::BadDescriptor.because(format!("handle {:?}{what}", handle.0))
        })?;
        Ok(Spot { handle, fd: -1, way }.into())
    }

    /// The process's stderr, with nothing allocated and nothing of the C runtime's touched.
    pub(crate) fn stderr() -> Option<Descriptor> {
        Some(Spot::STDERR.into())
    }

    /// What [`wait_for_room`] takes.
    pub fn polled(&self) -> Polled {
        self.spot.handle
    }

    /// Closes it.
    ///
    /// # Safety
    /// It is the library's to close.
    pub(super) unsafe fn close(&self) -> std::result::Result<(), Refused> {
        if self.spot.fd >= 0 {
            return match c_runtime::close(self.spot.fd) {
                0 => Ok(()),
                _ => Err(Refused::Errno(c_runtime::errno())),
            };
        }
        // SAFETY: by this function's own contract.
        match unsafe { CloseHandle(self.spot.handle.0) } {
            0 => Err(last_error()),
            _ => Ok(()),
        }
    }

    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        wait_for_room(&[self.polled()], deadline)
    }

    pub(crate) fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        self.spot.write(data, &|| true)
    }

    /// Whether a write may wait for something else than room: for another thread's operation on the
    /// same handle, be it in another process.
    pub(super) fn may_wait(&self) -> bool {
        self.spot.waits() && hand::can_be_sent()
    }

    /// As [`write`](Descriptor::write), and returns soon: what had not returned by then is
    /// `UnderWay`, and [`outcome`](Descriptor::outcome) tells what comes of it. Takes at most
    /// [`hand::MOST`] bytes.
    pub(super) fn write_in_time(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        let Some(sent) = Sent::send(Crew::Common, self.spot, data) else {
            return Err(Refused::WouldBlock);
        };
        *self.sent.lock() = Some(sent);
        self.outcome().unwrap_or(Err(Refused::UnderWay))
    }

    /// What came of the write that had not returned: `UnderWay` if it still has not. `None` if there is
    /// none, or it was given up.
    pub(super) fn outcome(&self) -> Option<std::result::Result<usize, Refused>> {
        // Not in the mutex over the wait: who gives up shall not wait for it.
        let sent = self.sent.lock().take()?;
        let answer = sent.wait(sent.moment);
        if answer.is_none() {
            *self.sent.lock() = Some(sent);
        }
        Some(answer.unwrap_or(Err(Refused::UnderWay)))
    }

    /// A write that has not returned shall.
    pub(super) fn cancel(&self) {
        let sent = self.sent.lock().take();
        if let Some(sent) = sent {
            sent.cancel();
            *self.sent.lock() = Some(sent);
        }
    }

    /// Gives up on a write that has not returned: how much of it was taken, if that is certain.
    pub(super) fn give_up(&self) -> Option<usize> {
        let sent = self.sent.lock().take()?;
        sent.give_up().map(|answer| answer.unwrap_or(0))
    }

    /// The last word's write: takes no lock, and soon returns. `UnderWay` if nobody will know what was
    /// taken.
    pub(crate) fn write_at_last(
        &self,
        data: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<usize, Refused> {
        if !self.spot.waits() || process_end::under_way() {
            return self.write(data);
        }
        let Some(sent) = Sent::send(Crew::Kept, self.spot, data) else {
            // All are stuck; or there are none, for no thread could begin.
            return if hand::can_be_sent() { Err(Refused::WouldBlock) } else { self.write(data) };
        };
        if let Some(answer) = sent.wait(deadline.min(sent.moment)) {
            return answer;
        }
        sent.cancel();
        match sent.give_up() {
            // It waits for more than room, and took nothing: another attempt would, too.
            Some(Err(Refused::WouldBlock)) => Err(Refused::System(ERROR_BUSY)),
            Some(answer) => answer,
            None => Err(Refused::UnderWay),
        }
    }

    /// One attempt, with nothing allocated. What finds no room is lost.
    pub(super) fn write_at_once_to_stderr(line: &[u8]) {
        if let Some(stderr) = Descriptor::stderr() {
            let _ = stderr.write_at_last(line, Deadline::after(hand::MOMENT));
        }
    }
}

#[cfg(test)]
impl Descriptor {
    /// One whose room cannot be asked.
    pub(super) fn unasked(handle: Handle) -> Descriptor {
        Spot { handle, fd: -1, way: Way::Device }.into()
    }
}

impl From<Spot> for Descriptor {
    fn from(spot: Spot) -> Descriptor {
        Descriptor { spot, sent: Mutex::new(None) }
    }
}

impl Spot {
    pub(super) const STDERR: Spot =
        Spot { handle: Handle(std::ptr::null_mut()), fd: -1, way: Way::Stderr };

    /// A descriptor of the C runtime, to be looked at when it is written.
    pub(super) fn unseen(fd: c_int) -> Spot {
        Spot { way: Way::Unseen, fd, ..Spot::STDERR }
    }

    /// Looks at the process's stderr.
    pub(super) fn stderr() -> Option<Spot> {
        // SAFETY: it only asks.
        let handle = Handle(unsafe { GetStdHandle(STD_ERROR_HANDLE) });
        way_of(handle).ok().map(|way| Spot { handle, fd: -1, way })
    }

    /// Whether others' operations on it are waited for, which may last.
    fn waits(&self) -> bool {
        !matches!(self.way, Way::Plain | Way::Runtime)
    }

    /// Offers `data`, unless `may_write` says no when it comes to that.
    pub(super) fn write(
        &self,
        data: &[u8],
        may_write: &dyn Fn() -> bool,
    ) -> std::result::Result<usize, Refused> {
        let seen = match self.way {
            Way::Stderr => Spot::stderr(),
            Way::Unseen => Descriptor::look(self.fd).ok().map(|it| it.spot),
            // The host may have given the descriptor another handle, by `_dup2` or `freopen`.
            Way::Pipe | Way::Device
                if self.fd >= 0 && c_runtime::handle_of(self.fd) != Some(self.handle) =>
            {
                Descriptor::look(self.fd).ok().map(|it| it.spot)
            }
            _ => Some(*self),
        };
        let spot = seen.ok_or(Refused::Errno(libc::EBADF))?;
        if spot.way == Way::Pipe {
            return write_pipe(spot.handle, data, may_write);
        }
        if !may_write() {
            return Err(Refused::WouldBlock);
        }
        let taken = match spot.way {
            Way::Runtime => c_runtime::write(spot.fd, data)?,
            _ => write_file(spot.handle, data)?,
        };
        // A write that takes nothing and gives no error would be tried for ever.
        if taken == 0 { Err(Refused::Errno(libc::EIO)) } else { Ok(taken) }
    }
}

fn way_of(handle: Handle) -> std::result::Result<Way, &'static str> {
    if handle.0.is_null() || handle.0 == INVALID_HANDLE_VALUE {
        return Err("");
    }
    // SAFETY: it only asks; so does all below.
    let way = match unsafe { GetFileType(handle.0) } {
        FILE_TYPE_DISK => Way::Plain,
        FILE_TYPE_CHAR => Way::Device,
        FILE_TYPE_PIPE if room_in(handle).is_none() => return Err(" is no pipe of this system's"),
        FILE_TYPE_PIPE => Way::Pipe,
        _ => return Err(""),
    };
    let mut access = 0;
    if ask(handle, FileAccessInformation, &mut access)
        && access & (FILE_WRITE_DATA | FILE_APPEND_DATA) == 0
    {
        return Err(" is read-only");
    }
    if handle.is_synchronous() == Some(false) {
        return Err(" was opened for overlapped I/O");
    }
    Ok(way)
}

/// What a handle is asked for: plain numbers.
trait Plain {}
impl Plain for u32 {}
impl Plain for FILE_PIPE_LOCAL_INFORMATION {}

fn ask<T: Plain>(handle: Handle, class: i32, answer: &mut T) -> bool {
    let mut status = IO_STATUS_BLOCK::default();
    let size = size_of::<T>() as u32;
    // SAFETY: the answer has this size and takes any bytes; a handle that is none is refused.
    unsafe {
        let answer = std::ptr::from_mut(answer).cast();
        NtQueryInformationFile(handle.0, &mut status, answer, size, class) >= 0
    }
}

/// How much a pipe surely takes at once; `None` if it is no pipe.
fn room_in(handle: Handle) -> Option<usize> {
    let mut pipe = FILE_PIPE_LOCAL_INFORMATION::default();
    ask(handle, FilePipeLocalInformation, &mut pipe).then_some(pipe.WriteQuotaAvailable as usize)
}

fn write_pipe(
    pipe: Handle,
    data: &[u8],
    may_write: &dyn Fn() -> bool,
) -> std::result::Result<usize, Refused> {
    let room = room_in(pipe).unwrap_or(0);
    if !may_write() {
        return Err(Refused::WouldBlock);
    }
    match room {
        0 => {}
        room => match write_file(pipe, &data[..data.len().min(room)]) {
            Ok(0) => {}
            answer => return answer,
        },
    }
    let set = |mode: u32| {
        // SAFETY: it changes how writes to this pipe wait; the one mode given is read.
        unsafe { SetNamedPipeHandleState(pipe.0, &mode, std::ptr::null(), std::ptr::null()) != 0 }
    };
    if !set(PIPE_NOWAIT) {
        return match last_error() {
            Refused::Errno(_) => Err(Refused::Errno(libc::EBADF)),
            // A pipe that nobody reads any more says so to a write, which does not wait.
            _ => write_file(pipe, &data[..1]),
        };
    }
    // A pipe that does not wait takes all that it is offered or nothing.
    let mut offered = data.len();
    let answer = loop {
        match write_file(pipe, &data[..offered]) {
            Ok(0) if offered > 1 => offered = offered.div_ceil(4),
            Ok(0) => break Err(Refused::WouldBlock),
            answer => break answer,
        }
    };
    set(PIPE_WAIT);
    answer
}

fn write_file(handle: Handle, data: &[u8]) -> std::result::Result<usize, Refused> {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut taken = 0;
    // SAFETY: the data is readable for its length; the handle is not one for overlapped I/O.
    let written = unsafe {
        let data = data.as_ptr().cast();
        WriteFile(handle.0, data, len, &mut taken, std::ptr::null_mut())
    };
    if written == 0 { Err(last_error()) } else { Ok(taken as usize) }
}

fn last_error() -> Refused {
    // SAFETY: this thread's last error.
    match unsafe { GetLastError() } {
        ERROR_INVALID_HANDLE => Refused::Errno(libc::EBADF),
        error => Refused::System(error),
    }
}
