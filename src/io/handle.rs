//! A Windows handle as a destination, and a descriptor of the C runtime.
//!
//! Windows has neither a write that does not wait nor a way to wait for room; only a [`pipe`] can be
//! asked. A handle opened for overlapped I/O is refused: a plain write to it may go on after it has
//! returned.
//!
//! Every such call waits for other threads' operations on the handle. Where that must end in time a
//! [`hand`] makes it.

use super::query::ask;
use super::worker::{self, Crew, Sent};
use super::{Handle, Refused, c_runtime, pipe};
use crate::status::{Result, Status};
use crate::sync::{AtomicBool, Deadline, Mutex, Ordering};
use crate::sys::process_end;
use libc::c_int;
use std::ptr::null_mut;
use std::time::Duration;
use windows_sys::Wdk::Storage::FileSystem::FileAccessInformation;
use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_BUSY, ERROR_INVALID_HANDLE,
    GetLastError, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_APPEND_DATA, FILE_END, FILE_TYPE_CHAR, FILE_TYPE_DISK, FILE_TYPE_PIPE, FILE_WRITE_DATA,
    GetFileType, SetFilePointerEx, WriteFile,
};
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// What [`wait_for_room`] waits by: nothing that the system offers.
pub type Polled = Handle;

/// The most a device is offered at once: a console may refuse more than it has memory for (bpo-11395), and
/// takes its time.
const DEVICE_MAX: usize = 32 * 1024;

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
    /// A thread ended in the middle of one.
    cut_off: AtomicBool,
}

impl Descriptor {
    /// Looks at what `fd` is.
    ///
    /// # Errors
    /// `BadDescriptor` if it is closed or cannot be written.
    ///
    /// # Safety
    /// It stays open, and the same file's, while the descriptor is in use; with `owns_descriptor` it is
    /// the writer's to close.
    pub unsafe fn new(fd: c_int) -> Result<Descriptor> {
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
    ///
    /// # Safety
    /// It stays open, and the same file's, while the descriptor is in use; with `owns_descriptor` it is
    /// the writer's to close.
    pub unsafe fn of_handle(handle: Handle) -> Result<Descriptor> {
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
        // SAFETY: by this function's own contract.
        unsafe { self.spot.close() }
    }

    /// As [`close`](Descriptor::close), and returns by `deadline`, or soon: the system closes a handle when
    /// nobody is in an operation on it. `UnderWay` if it has not by then.
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn close_in_time(
        &self,
        crew: Crew,
        deadline: Deadline,
    ) -> std::result::Result<(), Refused> {
        // None to be had, or none that began: it stays open.
        let sent = Sent::send_to_close(crew, self.spot).ok_or(Refused::UnderWay)?;
        let until = if deadline.left().is_some() { deadline } else { sent.moment };
        let answer = sent.wait(until).or_else(|| sent.wait(sent.moment));
        answer.map_or(Err(Refused::UnderWay), |answer| answer.map(|_| ()))
    }

    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        wait_for_room(&[self.polled()], deadline)
    }

    pub(crate) fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        // Relaxed: once the process ends it has one thread.
        if self.cut_off.load(Ordering::Relaxed) && process_end::under_way() {
            return self.spot.write_without_runtime(data);
        }
        self.spot.write(data, &|| true)
    }

    pub(super) fn note_cut_off(&self) {
        self.cut_off.store(true, Ordering::Relaxed);
    }

    /// Whether a write may wait for something else than room: for another thread's operation on the
    /// same handle, be it in another process.
    pub(super) fn may_wait(&self) -> bool {
        self.spot.waits() && worker::can_be_sent()
    }

    /// As [`write`](Descriptor::write), and returns soon: what had not returned by then is
    /// `UnderWay`, and [`outcome`](Descriptor::outcome) tells what comes of it. Takes at most
    /// [`worker::MOST`] bytes.
    pub(super) fn write_in_time(
        &self,
        crew: Crew,
        data: &[u8],
    ) -> std::result::Result<usize, Refused> {
        let Some(sent) = Sent::send(crew, self.spot, data) else {
            return Err(Refused::WouldBlock);
        };
        *self.sent.lock() = Some(sent);
        self.outcome().unwrap_or(Err(Refused::UnderWay))
    }

    /// What came of the write that had not returned: `UnderWay` if it still has not. `None` if there is
    /// none, or it was given up.
    pub(super) fn outcome(&self) -> Option<std::result::Result<usize, Refused>> {
        // Not in the mutex over the wait: who gives up shall not wait for it.
        let sight = self.sent.lock().as_ref()?.sight();
        sight.wait(sight.moment);
        let mut sent = self.sent.lock();
        let answer = sent.as_ref()?.answer();
        if answer.is_some() {
            *sent = None;
        }
        Some(answer.unwrap_or(Err(Refused::UnderWay)))
    }

    /// Ends a write that has not returned, or gives up on it: how much of it was taken, if that is certain.
    pub(super) fn give_up(&self) -> Option<usize> {
        // Once: of one that was cancelled nobody else shall hear, and take it for one that took nothing.
        let sent = self.sent.lock().take()?;
        sent.cancel();
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
            return if worker::can_be_sent() { Err(Refused::WouldBlock) } else { self.write(data) };
        };
        if let Some(answer) = sent.wait(deadline) {
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

    /// There is no attempt that certainly comes back: none is made.
    pub(crate) fn write_to_stderr_or_not(_: &[u8]) {}

    /// One attempt, with nothing allocated. What finds no room is lost.
    pub(super) fn write_at_once_to_stderr(line: &[u8]) {
        if let Some(stderr) = Descriptor::stderr() {
            let _ = stderr.write_at_last(line, Deadline::after(worker::MOMENT));
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
        Descriptor { spot, sent: Mutex::new(None), cut_off: AtomicBool::new(false) }
    }
}

impl Spot {
    pub(super) const STDERR: Spot = Spot { handle: Handle(null_mut()), fd: -1, way: Way::Stderr };

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
        self.seen()?.write_as_seen(data, may_write)
    }

    /// As [`write`](Spot::write), by a second handle: whoever closes the first meanwhile does not make its
    /// number another file's under this write.
    pub(super) fn write_by_own_handle(
        &self,
        data: &[u8],
        may_write: &dyn Fn() -> bool,
    ) -> std::result::Result<usize, Refused> {
        let spot = self.seen()?;
        let mut own: HANDLE = null_mut();
        // SAFETY: asks for a handle of this process's, closed below.
        let made = unsafe {
            let process = GetCurrentProcess();
            DuplicateHandle(process, spot.handle.0, process, &mut own, 0, 0, DUPLICATE_SAME_ACCESS)
        };
        if made == 0 {
            return Err(last_error());
        }
        let answer = Spot { handle: Handle(own), ..spot }.write_as_seen(data, may_write);
        // SAFETY: made above. It is not the last one of its file, so nothing is waited for, unless the other
        // was closed meanwhile.
        unsafe { CloseHandle(own) };
        answer
    }

    /// Closes it.
    ///
    /// # Safety
    /// It is the library's to close.
    pub(super) unsafe fn close(&self) -> std::result::Result<(), Refused> {
        if self.fd >= 0 {
            return match c_runtime::close(self.fd) {
                0 => Ok(()),
                _ => Err(Refused::Errno(c_runtime::errno())),
            };
        }
        // SAFETY: by this function's own contract.
        match unsafe { CloseHandle(self.handle.0) } {
            0 => Err(last_error()),
            _ => Ok(()),
        }
    }

    /// Looks at what is there now, where that may have changed.
    fn seen(&self) -> std::result::Result<Spot, Refused> {
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
        seen.ok_or(Refused::Errno(libc::EBADF))
    }

    /// A thread that was killed in the C runtime's write left its lock of the descriptor taken: who asks for
    /// that in a process that ends is ended by Windows, and says nothing. Added at the end, nothing is
    /// overwritten, wherever the killed write left the file's position; newlines stay as they are.
    fn write_without_runtime(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        if self.way != Way::Runtime {
            return self.write(data, &|| true);
        }
        // SAFETY: it moves the position of a file that nobody else writes to any more.
        if unsafe { SetFilePointerEx(self.handle.0, 0, null_mut(), FILE_END) } == 0 {
            return Err(last_error());
        }
        write_file(self.handle, data)
    }

    fn write_as_seen(
        &self,
        data: &[u8],
        may_write: &dyn Fn() -> bool,
    ) -> std::result::Result<usize, Refused> {
        if self.way == Way::Pipe {
            return pipe::write(self.handle, data, may_write);
        }
        if !may_write() {
            return Err(Refused::WouldBlock);
        }
        let taken = match self.way {
            Way::Runtime => c_runtime::write(self.fd, data)?,
            Way::Device => write_file(self.handle, &data[..data.len().min(DEVICE_MAX)])?,
            _ => write_file(self.handle, data)?,
        };
        // A write that takes nothing and reports no error would be retried without end.
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
        FILE_TYPE_PIPE if !pipe::is_pipe(handle) => return Err(" is no pipe of this system's"),
        FILE_TYPE_PIPE => Way::Pipe,
        _ => return Err(""),
    };
    let mut access = 0;
    if ask(handle, FileAccessInformation, &mut access).is_ok()
        && access & (FILE_WRITE_DATA | FILE_APPEND_DATA) == 0
    {
        return Err(" is read-only");
    }
    if handle.is_synchronous() == Some(false) {
        return Err(" was opened for overlapped I/O");
    }
    Ok(way)
}

pub(super) fn write_file(handle: Handle, data: &[u8]) -> std::result::Result<usize, Refused> {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut taken = 0;
    // SAFETY: the data is readable for its length; the handle is not one for overlapped I/O.
    let written = unsafe {
        let data = data.as_ptr().cast();
        WriteFile(handle.0, data, len, &mut taken, null_mut())
    };
    if written == 0 { Err(last_error()) } else { Ok(taken as usize) }
}

pub(super) fn last_error() -> Refused {
    // SAFETY: this thread's last error.
    match unsafe { GetLastError() } {
        ERROR_INVALID_HANDLE => Refused::Errno(libc::EBADF),
        error => Refused::System(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows_sys::Win32::Storage::FileSystem::ReadFile;
    use windows_sys::Win32::System::Pipes::CreatePipe;

    #[test]
    fn a_hand_writes_where_it_was_sent_though_the_handle_is_closed_meanwhile() {
        let (mut out, mut into) = (null_mut(), null_mut());
        // SAFETY: handles of this test's own.
        assert_ne!(unsafe { CreatePipe(&mut out, &mut into, std::ptr::null(), 4096) }, 0);
        let close = || {
            // SAFETY: as above, and nobody's from here on.
            assert_ne!(unsafe { CloseHandle(into) }, 0);
            true
        };
        let sent = Descriptor::unasked(Handle(into)).spot;
        assert_eq!(sent.write_by_own_handle(b"here", &close), Ok(4));
        let (mut data, mut got) = ([0; 9], 0);
        // SAFETY: writes to the data.
        unsafe { ReadFile(out, data.as_mut_ptr(), 9, &mut got, null_mut()) };
        assert_eq!(&data[..got as usize], b"here");
    }
}
