//! Windows' own overlapped operations.
//!
//! The `OVERLAPPED`, its event and the buffer are this object's, on the heap, so they can outlive every
//! handle. The kernel writes to them until the status in the `OVERLAPPED` is no longer "pending", and not
//! afterwards: that word alone says whether they may be freed. (What follows it, the event and the packet,
//! the kernel does by its own references.) `CancelIoEx` is a wish: an operation that lost the race against
//! it ends well, and one that its driver does not let go of goes on.
//!
//! No lock: at the end of a process its other threads are gone with whatever they held, and an operation
//! is asked for all the same.

use super::provider::{Progress, Provider, Why};
use crate::io::Handle;
use crate::status::{Result, Status};
use crate::sync::{AtomicBool, AtomicU32, Deadline, Ordering};
use crate::thread::host_call;
use libc::{c_int, c_void};
use std::cell::UnsafeCell;
use windows_sys::Win32::Foundation::{self as win32, CloseHandle, HANDLE, NTSTATUS};
use windows_sys::Win32::Networking::WinSock::{
    SO_PROTOCOL_INFOW, SOCKET, SOL_SOCKET, WSABUF, WSAEMSGSIZE, WSAENOBUFS, WSAPROTOCOL_INFOW,
    WSARecv, WSASend, XP1_IFS_HANDLES, closesocket, getsockopt,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_PIPE, GetFileType, ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::ConnectNamedPipe;
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForSingleObject,
};

/// Begins an operation of the host's own: gets its `arg`, the handle, the `OVERLAPPED`, the buffer and its
/// size; returns what `GetLastError` says then, or 0.
pub type Begin = unsafe extern "C-unwind" fn(
    arg: *mut c_void,
    handle: *mut c_void,
    overlapped: *mut c_void,
    buffer: *mut c_void,
    size: usize,
) -> c_int;

/// What an operation does.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `ReadFile`.
    Read,
    /// `WriteFile`.
    Write,
    /// `WSARecv`.
    Receive,
    /// `WSASend`.
    Send,
    /// `ConnectNamedPipe`.
    Connect,
    /// Whatever this begins.
    Other(Begin, *mut c_void),
}

/// How an operation is to be made.
pub struct Spec<'a> {
    /// What it does.
    pub kind: Kind,
    /// On what: a handle opened for overlapped operations, or such a socket.
    pub handle: *mut c_void,
    /// What is sent. It is copied.
    pub data: &'a [u8],
    /// How large the buffer is.
    pub size: usize,
    /// Where in the file.
    pub offset: u64,
    /// The handle is closed when the operation has ended, and leaked with it.
    pub owns_handle: bool,
    /// Nothing arrives at the completion port that the handle belongs to.
    pub no_packet: bool,
    /// It must not be cancelled.
    pub no_cancel: bool,
}

/// One operation.
pub(super) struct Request {
    /// From `submit` until it has ended the kernel's. Its `Internal` is the status.
    overlapped: UnsafeCell<OVERLAPPED>,
    /// `WSARecv` writes here, if it ends at once; a provider may keep the address for longer.
    receive_flags: UnsafeCell<u32>,
    event: HANDLE,
    handle: HANDLE,
    /// As large as the operation, and filled, but for what the kernel has written since.
    buffer: UnsafeCell<Box<[u8]>>,
    kind: Kind,
    owns_handle: bool,
    no_cancel: bool,
    /// It ended at once, in a way of which the system tells no completion port.
    no_packet_comes: AtomicBool,
}

// SAFETY: the kernel alone touches the contents of the cells while the operation is pending, and nobody
// writes to them afterwards. Handles may be used from any thread, and the host promises the same of what
// it begins.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

impl Request {
    pub fn new(spec: &Spec<'_>) -> Result<Request> {
        if spec.handle.is_null() || spec.handle == win32::INVALID_HANDLE_VALUE {
            return Err(Status::BadDescriptor.because("the handle is none"));
        }
        if Handle(spec.handle).is_synchronous() == Some(true) {
            return Err(Status::BadDescriptor.because(
                "the handle was opened without FILE_FLAG_OVERLAPPED: the call would wait",
            ));
        }
        if matches!(spec.kind, Kind::Receive | Kind::Send) && !is_kernels(spec.handle.addr()) {
            return Err(Status::BadDescriptor.because(
                "no socket, or one of a layered provider that is none of the kernel's: it does not say \
                 when an operation has ended",
            ));
        }
        if u32::try_from(spec.size).is_err() {
            return Err(Status::Size.because(format!("an operation of {} bytes", spec.size)));
        }
        let buffer = filled(spec.data, spec.size)?;
        // SAFETY: no name, default rights.
        let event = unsafe { CreateEventW(std::ptr::null(), 1, 0, std::ptr::null()) };
        if event.is_null() {
            return Err(Status::NoMemory.because("no event for an operation"));
        }
        // SAFETY: all zeroes is a valid OVERLAPPED.
        let mut overlapped = unsafe { std::mem::zeroed::<OVERLAPPED>() };
        // With its lowest bit set the event tells the kernel to queue no packet.
        overlapped.hEvent = if spec.no_packet { event.map_addr(|at| at | 1) } else { event };
        overlapped.Anonymous.Anonymous.Offset = spec.offset as u32;
        overlapped.Anonymous.Anonymous.OffsetHigh = (spec.offset >> 32) as u32;
        Ok(Request {
            overlapped: UnsafeCell::new(overlapped),
            receive_flags: UnsafeCell::new(0),
            event,
            handle: spec.handle,
            buffer: UnsafeCell::new(buffer),
            kind: spec.kind,
            owns_handle: spec.owns_handle,
            no_cancel: spec.no_cancel,
            no_packet_comes: AtomicBool::new(false),
        })
    }

    /// Asks the system. What it answers is an error's number, or 0.
    fn begin(&self) -> u32 {
        let overlapped = self.overlapped.get();
        // SAFETY: nobody else uses the buffer before the operation has begun.
        let (buffer, size) = unsafe {
            let buffer = &mut *self.buffer.get();
            (buffer.as_mut_ptr(), buffer.len())
        };
        let none = std::ptr::null_mut();
        let one = WSABUF { len: size as u32, buf: buffer };
        // SAFETY: OVERLAPPED, flags and buffer stay where they are until the operation has ended: `self`
        // is in an `Arc` that is shelved if it has not. The handle is valid by the caller's promise; if it
        // is not, the call fails.
        let began = unsafe {
            match self.kind {
                Kind::Read => ReadFile(self.handle, buffer, size as u32, none, overlapped) != 0,
                Kind::Write => WriteFile(self.handle, buffer, size as u32, none, overlapped) != 0,
                Kind::Connect => ConnectNamedPipe(self.handle, overlapped) != 0,
                Kind::Receive => {
                    let (socket, flags) = (self.handle.addr(), self.receive_flags.get());
                    WSARecv(socket, &one, 1, none.cast(), flags, overlapped, None) == 0
                }
                Kind::Send => {
                    WSASend(self.handle.addr(), &one, 1, none.cast(), 0, overlapped, None) == 0
                }
                Kind::Other(begin, arg) => {
                    // Win32's calls say so themselves, the kernel's own do not.
                    self.status().store(PENDING, Ordering::Relaxed);
                    let answer = host_call::run(begin as *const (), || {
                        begin(arg, self.handle, overlapped.cast(), buffer.cast(), size)
                    });
                    // One that ended its thread may have begun: only the status knows.
                    return answer.map_or(win32::ERROR_IO_PENDING, |error| error as u32);
                }
            }
        };
        // SAFETY: it only asks.
        if began { 0 } else { unsafe { win32::GetLastError() } }
    }

    /// The status in the `OVERLAPPED`: the lower half of a word of 64 bits, whose other half may be anything
    /// (and which Windows' own `HasOverlappedIoCompleted` does not look at).
    fn status(&self) -> &AtomicU32 {
        // SAFETY: the word lives as long as `self`, is aligned, and whoever else writes it is the kernel.
        unsafe { AtomicU32::from_ptr((&raw mut (*self.overlapped.get()).Internal).cast()) }
    }

    /// Marks an operation whose call failed at once as ended. The kernel never took it on and has left its
    /// status and event untouched, so that it would stay "pending".
    fn end_as(&self, status: NTSTATUS) {
        // Release: pairs with `ended`.
        self.status().store(status as u32, Ordering::Release);
        // SAFETY: the event is ours.
        unsafe { SetEvent(self.event) };
    }

    /// How it ended, by the system's number, and how many bytes it moved; `None` while it is pending.
    fn ended(&self) -> Option<(u32, u32)> {
        // Acquire: the kernel writes the status after all else it has to write.
        if self.status().load(Ordering::Acquire) == PENDING {
            return None;
        }
        let mut count = 0;
        // SAFETY: the operation has ended, so the OVERLAPPED is ours; without a wait the handle is not
        // looked at.
        let well =
            unsafe { GetOverlappedResult(self.handle, self.overlapped.get(), &mut count, 0) } != 0;
        // SAFETY: it only asks.
        Some((if well { 0 } else { unsafe { win32::GetLastError() } }, count))
    }

    fn look(&self) -> Progress {
        let Some((error, count)) = self.ended() else {
            return Progress::Pending(Why::InFlight);
        };
        Progress::Done(match error {
            // The rest of a message is the next read's.
            0 | win32::ERROR_MORE_DATA => Ok(count as usize),
            win32::ERROR_PIPE_CONNECTED => Ok(0),
            error if self.is_end(error) => Ok(0),
            error => Err(error as i32),
        })
    }

    /// The status of an error that comes at once and is no failure.
    fn end_at_once(&self, error: u32) -> Option<NTSTATUS> {
        match error {
            win32::ERROR_PIPE_CONNECTED if matches!(self.kind, Kind::Connect) => {
                Some(win32::STATUS_PIPE_CONNECTED)
            }
            win32::ERROR_HANDLE_EOF if self.is_end(error) => Some(win32::STATUS_END_OF_FILE),
            win32::ERROR_BROKEN_PIPE if self.is_end(error) => Some(win32::STATUS_PIPE_BROKEN),
            _ => None,
        }
    }

    /// Whether the error only says that there is nothing more to read.
    fn is_end(&self, error: u32) -> bool {
        matches!(self.kind, Kind::Read)
            && matches!(error, win32::ERROR_HANDLE_EOF | win32::ERROR_BROKEN_PIPE)
    }
}

impl Provider for Request {
    fn submit(&self) -> Result<()> {
        const DATAGRAM_CUT: u32 = WSAEMSGSIZE as u32;
        const NO_BUFFERS: u32 = WSAENOBUFS as u32;
        let error = self.begin();
        let at_once = self.end_at_once(error);
        if let Some(status) = at_once {
            self.end_as(status);
        }
        if at_once.is_some() || error == 0 && Handle(self.handle).skips_packets() {
            // Relaxed: read by this thread, or by whom it has told of the operation.
            self.no_packet_comes.store(true, Ordering::Relaxed);
            return Ok(());
        }
        match error {
            // More than there was room for is a warning: the kernel has ended it, with what there was room
            // for. Winsock has a number of its own for that, but only here.
            0 | win32::ERROR_IO_PENDING | win32::ERROR_MORE_DATA | DATAGRAM_CUT => Ok(()),
            win32::ERROR_INVALID_HANDLE | win32::ERROR_ACCESS_DENIED => {
                Err(Status::BadDescriptor.because("the handle is not one for this"))
            }
            // By ReadFile's page the second row, too, is what too many requests come to.
            win32::ERROR_NO_SYSTEM_RESOURCES
            | win32::ERROR_NOT_ENOUGH_QUOTA
            | win32::ERROR_TOO_MANY_CMDS
            | win32::ERROR_INVALID_USER_BUFFER
            | win32::ERROR_NOT_ENOUGH_MEMORY
            | NO_BUFFERS => {
                Err(Status::WouldBlock.because("the system takes no more requests now"))
            }
            error => {
                let text = std::io::Error::from_raw_os_error(error as i32);
                Err(Status::Io.because(text.to_string()))
            }
        }
    }

    fn cancel(&self) {
        if !self.no_cancel && self.ended().is_none() {
            // That it cannot be found any more is no failure: the next look tells how it ended. Another
            // thread may have issued it, and may be gone.
            // SAFETY: the OVERLAPPED lives as long as `self`. If the host closed the handle the call
            // fails, and nothing is cancelled.
            unsafe { CancelIoEx(self.handle, self.overlapped.get()) };
        }
    }

    fn wait(&self, deadline: Deadline) -> Progress {
        loop {
            let progress = self.look();
            let left = deadline.left();
            if matches!(progress, Progress::Done(_)) || left.is_some_and(|left| left.is_zero()) {
                return progress;
            }
            // Rounded up, so that it does not spin through the last millisecond.
            let wait_ms = left.map_or(INFINITE, |left| {
                u32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(INFINITE - 1)
            });
            // Also when a completion port gets the packet: the event belongs to this operation alone.
            // SAFETY: the event is ours.
            if unsafe { WaitForSingleObject(self.event, wait_ms) } == win32::WAIT_FAILED {
                return Progress::Pending(Why::WaitFailed);
            }
        }
    }

    fn close(&self) {
        if self.owns_handle {
            // SAFETY: it was given to this object, and this is called once.
            unsafe {
                // Winsock keeps something of its own for every socket, also for one that was read as a file
                // or accepts by `AcceptEx`; CloseHandle would leave that behind.
                if protocol_of(self.handle.addr()).is_some() {
                    closesocket(self.handle.addr());
                } else {
                    CloseHandle(self.handle);
                }
            };
        }
    }

    fn answers_when_leaked(&self) -> bool {
        // Asking touches only memory that is kept.
        true
    }

    fn bytes(&self) -> u64 {
        // SAFETY: only the box is looked at, which nobody changes.
        (size_of::<OVERLAPPED>() + unsafe { (&*self.buffer.get()).len() }) as u64
    }

    fn remark(&self) -> u32 {
        self.ended().map_or(0, |(error, _)| error)
    }

    fn sends_no_packet(&self) -> bool {
        self.no_packet_comes.load(Ordering::Relaxed)
    }

    fn address(&self) -> *mut c_void {
        self.overlapped.get().cast()
    }

    fn data(&self) -> Option<&[u8]> {
        let Progress::Done(Ok(count)) = self.look() else { return None };
        let reads = !matches!(self.kind, Kind::Write | Kind::Send | Kind::Connect);
        // SAFETY: the operation has ended, and nobody writes to the buffer any more.
        if reads { unsafe { (&*self.buffer.get()).get(..count) } } else { None }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: ours. The operation has ended, or never began: else it would have been shelved.
        unsafe { CloseHandle(self.event) };
    }
}

const PENDING: u32 = win32::STATUS_PENDING as u32;

/// What kind of socket it is; `None` if it is none.
fn protocol_of(socket: SOCKET) -> Option<WSAPROTOCOL_INFOW> {
    // Winsock asks whatever it does not know by a request of its own, which is for no device to see.
    // SAFETY: it only asks.
    if unsafe { GetFileType(std::ptr::with_exposed_provenance_mut(socket)) } != FILE_TYPE_PIPE {
        return None;
    }
    let mut protocol = std::mem::MaybeUninit::<WSAPROTOCOL_INFOW>::uninit();
    let mut size = size_of::<WSAPROTOCOL_INFOW>() as i32;
    // SAFETY: the answer has the size that is said; what is no socket is refused.
    unsafe {
        let answer = protocol.as_mut_ptr().cast();
        (getsockopt(socket, SOL_SOCKET, SO_PROTOCOL_INFOW, answer, &mut size) == 0)
            .then(|| protocol.assume_init())
    }
}

/// Whether it is a socket whose operations are the kernel's. A layered provider may hand out sockets that
/// are not: of those Winsock does not say what is in the `OVERLAPPED`, and `CancelIoEx` does not know them.
fn is_kernels(socket: SOCKET) -> bool {
    protocol_of(socket).is_some_and(|p| p.dwServiceFlags1 & XP1_IFS_HANDLES != 0)
}

/// `size` bytes, `data` first.
fn filled(data: &[u8], size: usize) -> Result<Box<[u8]>> {
    let no_memory = |_| Status::NoMemory.because(format!("an operation of {size} bytes"));
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(size).map_err(no_memory)?;
    buffer.extend_from_slice(&data[..data.len().min(size)]);
    buffer.resize(size, 0);
    Ok(buffer.into_boxed_slice())
}
