//! A Windows handle as a destination, and a descriptor of the C runtime.
//!
//! Windows has neither a write that does not wait nor a way to wait for room. What a pipe has room for
//! can be asked, and is 0 also when its reader waits with a buffer of the pipe's size: then the pipe is
//! told not to wait for the length of one write. A handle opened for overlapped I/O is refused: a plain
//! write to it may go on after it has returned.

use super::{Refused, STDERR, is_would_block};
use crate::status::{Result, Status};
use crate::sync::Deadline;
use libc::{c_int, c_uint, c_void};
use std::time::Duration;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_LOCAL_INFORMATION, FILE_SYNCHRONOUS_IO_ALERT, FILE_SYNCHRONOUS_IO_NONALERT,
    FileAccessInformation, FileModeInformation, FilePipeLocalInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_INVALID_HANDLE, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
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
        runtime::handle_of(fd)
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
    /// As it is: disk files, consoles and other devices have room or an error.
    Plain,
    /// Only as much as there is room for.
    Pipe,
    /// A disk file's descriptor, by the C runtime: it alone knows that every write goes to the end.
    Runtime,
}

/// A handle, or a descriptor of the C runtime that this library is linked to.
pub struct Descriptor {
    handle: Handle,
    /// -1 if it was given as a handle.
    fd: c_int,
    way: Way,
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
        let handle = runtime::handle_of(fd).ok_or("")?;
        let way = way_of(handle)?;
        // SAFETY: it only asks.
        let is_disk = unsafe { GetFileType(handle.0) } == FILE_TYPE_DISK;
        Ok(Descriptor { handle, fd, way: if is_disk { Way::Runtime } else { way } })
    }

    /// Looks at what `handle` is.
    ///
    /// # Errors
    /// `BadDescriptor` if it is closed, cannot be written, or was opened for overlapped I/O.
    pub fn of_handle(handle: Handle) -> Result<Descriptor> {
        let way = way_of(handle).map_err(|what| {
            Status::BadDescriptor.because(format!("handle {:?}{what}", handle.0))
        })?;
        Ok(Descriptor { handle, fd: -1, way })
    }

    /// The process's stderr, with nothing allocated and nothing of the C runtime's touched.
    pub(crate) fn stderr() -> Option<Descriptor> {
        // SAFETY: it only asks.
        let handle = Handle(unsafe { GetStdHandle(STD_ERROR_HANDLE) });
        way_of(handle).ok().map(|way| Descriptor { handle, fd: -1, way })
    }

    /// What [`wait_for_room`] takes.
    pub fn polled(&self) -> Polled {
        self.handle
    }

    /// Closes it.
    ///
    /// # Safety
    /// It is the library's to close.
    pub(super) unsafe fn close(&self) -> std::result::Result<(), Refused> {
        if self.fd >= 0 {
            return match runtime::close(self.fd) {
                0 => Ok(()),
                _ => Err(Refused::Errno(runtime::errno())),
            };
        }
        // SAFETY: by this function's own contract.
        match unsafe { CloseHandle(self.handle.0) } {
            0 => Err(last_error()),
            _ => Ok(()),
        }
    }

    /// One attempt, with nothing allocated. What finds no room is lost.
    pub(super) fn write_at_once_to_stderr(line: &[u8]) {
        if let Some(stderr) = Descriptor::stderr() {
            let _ = stderr.write(line);
        }
    }

    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        wait_for_room(&[self.polled()], deadline)
    }

    pub(crate) fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        // The host may have given the descriptor another handle, by `_dup2` or `freopen`.
        let led_elsewhere = || runtime::handle_of(self.fd) != Some(self.handle);
        if self.fd >= 0 && self.way != Way::Runtime && led_elsewhere() {
            let now = Descriptor::look(self.fd).map_err(|_| Refused::Errno(libc::EBADF))?;
            return now.write_here(data);
        }
        self.write_here(data)
    }

    fn write_here(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        let taken = match self.way {
            Way::Plain => write_file(self.handle, data)?,
            Way::Runtime => runtime::write(self.fd, data)?,
            Way::Pipe => return write_pipe(self.handle, data),
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
        FILE_TYPE_DISK | FILE_TYPE_CHAR => Way::Plain,
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
    let mut mode = 0;
    let synchronous = FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT;
    if ask(handle, FileModeInformation, &mut mode) && mode & synchronous == 0 {
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

fn write_pipe(pipe: Handle, data: &[u8]) -> std::result::Result<usize, Refused> {
    match room_in(pipe).unwrap_or(0) {
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

mod runtime {
    //! The C runtime's descriptors. A library and its host may have two runtimes, each with its own.

    use super::{
        Descriptor, Handle, INVALID_HANDLE_VALUE, Refused, STDERR, c_int, c_uint, c_void,
        is_would_block,
    };

    unsafe extern "C" {
        fn _get_osfhandle(fd: c_int) -> isize;
        fn _write(fd: c_int, data: *const c_void, count: c_uint) -> c_int;
        fn _close(fd: c_int) -> c_int;
        fn _errno() -> *mut c_int;
    }

    /// Keeps the Universal C Runtime from ending the process for a number that is no descriptor.
    #[cfg(target_env = "msvc")]
    fn guarded<R>(call: impl FnOnce() -> R) -> R {
        type Handler =
            Option<unsafe extern "C" fn(*const u16, *const u16, *const u16, c_uint, usize)>;
        unsafe extern "C" {
            fn _set_thread_local_invalid_parameter_handler(handler: Handler) -> Handler;
        }
        unsafe extern "C" fn ignore(
            _: *const u16,
            _: *const u16,
            _: *const u16,
            _: c_uint,
            _: usize,
        ) {
        }
        // SAFETY: the handler is this thread's, and put back.
        unsafe {
            let before = _set_thread_local_invalid_parameter_handler(Some(ignore));
            let result = call();
            _set_thread_local_invalid_parameter_handler(before);
            result
        }
    }

    #[cfg(not(target_env = "msvc"))]
    fn guarded<R>(call: impl FnOnce() -> R) -> R {
        call()
    }

    /// The handle behind it.
    pub fn handle_of(fd: c_int) -> Option<Handle> {
        // SAFETY: a number that is no descriptor gives -1, or -2 for one without a handle.
        let handle = guarded(|| unsafe { _get_osfhandle(fd) });
        let handle = (handle != -2).then_some(handle as super::HANDLE);
        let handle = handle.filter(|handle| *handle != INVALID_HANDLE_VALUE).map(Handle);
        // A program without a console has a handle all the same, if it was given one.
        handle.or_else(|| Descriptor::stderr().filter(|_| fd == STDERR).map(|it| it.handle))
    }

    pub fn write(fd: c_int, data: &[u8]) -> Result<usize, Refused> {
        let len = data.len().min(c_int::MAX as usize) as c_uint;
        // SAFETY: the data is readable for its length.
        let taken = guarded(|| unsafe { _write(fd, data.as_ptr().cast(), len) });
        usize::try_from(taken).map_err(|_| match errno() {
            error if is_would_block(error) => Refused::WouldBlock,
            error => Refused::Errno(error),
        })
    }

    pub fn close(fd: c_int) -> c_int {
        // SAFETY: the caller's to close.
        guarded(|| unsafe { _close(fd) })
    }

    pub fn errno() -> i32 {
        // SAFETY: this thread's own.
        unsafe { *_errno() }
    }
}
