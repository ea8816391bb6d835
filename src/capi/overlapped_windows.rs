//! Operations that the Windows kernel carries out. All of it is there on Windows only.

use super::boundary::{boundary, bytes, give, required, versioned};
use super::overlapped::{operation_of, rt_overlapped, start};
use super::rt_status;
use super::runtime::rt_runtime;
use crate::runtime::overlapped::{Kind, Overlapped, Spec};
use crate::status::Status;
use libc::{c_char, c_void};

/// `ReadFile`. The end of a file or of a pipe ends it well, with 0 bytes; so does a message that is longer
/// than the buffer (`rt_overlapped_error` says `ERROR_MORE_DATA`), whose rest the next read gets.
pub const RT_OVERLAPPED_READ: u32 = 1;
/// `WriteFile`.
pub const RT_OVERLAPPED_WRITE: u32 = 2;
/// `WSARecv`; the handle is the socket. A datagram that is longer than the buffer ends it well
/// (`ERROR_MORE_DATA`); its rest is lost, as always.
pub const RT_OVERLAPPED_RECEIVE: u32 = 3;
/// `WSASend`; the handle is the socket.
pub const RT_OVERLAPPED_SEND: u32 = 4;
/// `ConnectNamedPipe`.
pub const RT_OVERLAPPED_CONNECT: u32 = 5;
/// Whatever `begin` begins: `AcceptEx`, `DeviceIoControl`, `ReadDirectoryChangesW`.
pub const RT_OVERLAPPED_OTHER: u32 = 6;

/// The library closes the handle once the operation has ended, and leaks it with the operation. Without
/// this it stays the host's, and must stay open until the operation's handle is gone with `RT_OK`, or,
/// once the operation is leaked, until the process ends.
pub const RT_OVERLAPPED_OWNS_HANDLE: u32 = 1;
/// Nothing arrives at the completion port that the handle belongs to.
pub const RT_OVERLAPPED_NO_PACKET: u32 = 2;
/// The operation must not be cancelled: only its own end frees it.
pub const RT_OVERLAPPED_NO_CANCEL: u32 = 4;

/// Begins an operation of the kind `RT_OVERLAPPED_OTHER`, on the calling thread: makes the system's call on
/// `handle` with `overlapped` (an `OVERLAPPED *`, its event and offset set) and `buffer`, both of which are
/// the library's. `size` is the buffer's.
///
/// Returns 0 if the operation has ended well already, else what `GetLastError` or `WSAGetLastError` says:
/// with `ERROR_IO_PENDING` the kernel has it, with any other nothing was started.
#[cfg(windows)]
pub type rt_overlapped_begin_callback = Option<
    unsafe extern "C-unwind" fn(
        arg: *mut c_void,
        handle: *mut c_void,
        overlapped: *mut c_void,
        buffer: *mut c_void,
        size: usize,
    ) -> i32,
>;

/// An operation that the Windows kernel is to carry out. Zero in a field is none.
#[cfg(windows)]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_overlapped_request {
    /// `sizeof(rt_overlapped_request)`.
    pub struct_size: usize,
    /// One of `RT_OVERLAPPED_*`: what it does.
    pub kind: u32,
    /// `RT_OVERLAPPED_OWNS_HANDLE`, `RT_OVERLAPPED_NO_PACKET`, `RT_OVERLAPPED_NO_CANCEL`.
    pub flags: u32,
    /// A `HANDLE` that was opened with `FILE_FLAG_OVERLAPPED`, or such a `SOCKET`.
    pub handle: *mut c_void,
    /// What is written or sent, `size` bytes, which are copied; what another kind's buffer is filled with
    /// first, or NULL for zeroes.
    pub data: *const c_void,
    /// The size of the buffer in bytes, less than 4 GiB.
    pub size: usize,
    /// Where in a file; 0 for a pipe or a socket.
    pub offset: u64,
    /// Begins an `RT_OVERLAPPED_OTHER`.
    pub begin: rt_overlapped_begin_callback,
    /// Given to `begin`; stays the host's.
    pub arg: *mut c_void,
}

const REQUEST_FIRST_VERSION: usize = size_of::<rt_overlapped_request>();

/// Starts an operation of the Windows kernel, and stores its handle in `*op`.
///
/// The `OVERLAPPED`, its event and the buffer are the library's: whatever the host does, they live as long
/// as the kernel may write to them. `name` is copied, for warnings and the ledger, and may be NULL. The
/// handle is the host's: end it with `rt_overlapped_dealloc`. The thread that starts an operation may exit:
/// Windows then cancels what it issued, unless the handle belongs to a completion port.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ENDED` if it has ended already, and Windows queues no packet of it to a completion
/// port (nor to a thread pool: `CancelThreadpoolIo`): its call said `ERROR_BROKEN_PIPE`, `ERROR_HANDLE_EOF` or
/// `ERROR_PIPE_CONNECTED`, or it succeeded at once on a handle with `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
/// Else the packet comes, also of one that ended at once. With any error nothing was started, and the handle
/// is the host's still: `RT_ERR_BAD_DESCRIPTOR` (none, not for this, not opened for overlapped operations, or
/// a socket of a layered provider whose sockets are not the kernel's), `RT_ERR_SIZE`,
/// `RT_ERR_NO_MEMORY`, `RT_ERR_INVALID` (kind, flags, or no `begin`), `RT_ERR_NULL`, `RT_ERR_STRUCT_SIZE`,
/// `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_FINALIZING`, `RT_ERR_WOULD_BLOCK` (the system takes no more
/// requests now), `RT_ERR_IO`, `RT_ERR_THREAD_EXITING`.
///
/// CPython: `_winapi.ReadFile` and its like with `overlapped=True`; `_overlapped.Overlapped`.
#[cfg(windows)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_start(
    runtime: *mut rt_runtime,
    request: *const rt_overlapped_request,
    name: *const c_char,
    op: *mut *mut rt_overlapped,
) -> rt_status {
    boundary(|| {
        required(request)?;
        // SAFETY: by the header; pointers and optional functions are zeroable.
        let given = unsafe { versioned(request, REQUEST_FIRST_VERSION)? };
        let known = RT_OVERLAPPED_OWNS_HANDLE | RT_OVERLAPPED_NO_PACKET | RT_OVERLAPPED_NO_CANCEL;
        if given.flags & !known != 0 {
            return Err(Status::Invalid.because(format!("unknown flags {:#x}", given.flags)));
        }
        let kind = match (given.kind, given.begin) {
            (RT_OVERLAPPED_READ, _) => Kind::Read,
            (RT_OVERLAPPED_WRITE, _) => Kind::Write,
            (RT_OVERLAPPED_RECEIVE, _) => Kind::Receive,
            (RT_OVERLAPPED_SEND, _) => Kind::Send,
            (RT_OVERLAPPED_CONNECT, _) => Kind::Connect,
            (RT_OVERLAPPED_OTHER, Some(begin)) => Kind::Other(begin, given.arg),
            (RT_OVERLAPPED_OTHER, None) => return Err(Status::Invalid.because("no begin")),
            (kind, _) => return Err(Status::Invalid.because(format!("there is no kind {kind}"))),
        };
        let sends = matches!(kind, Kind::Write | Kind::Send);
        let has_data = sends || !given.data.is_null();
        let spec = Spec {
            kind,
            handle: given.handle,
            data: if has_data { bytes(given.data, given.size)? } else { &[] },
            size: given.size,
            offset: given.offset,
            owns_handle: given.flags & RT_OVERLAPPED_OWNS_HANDLE != 0,
            no_packet: given.flags & RT_OVERLAPPED_NO_PACKET != 0,
            no_cancel: given.flags & RT_OVERLAPPED_NO_CANCEL != 0,
        };
        start(runtime, name, op, |runtime, name| Overlapped::of_kernel(runtime, &spec, name))
    })
}

/// Stores where the operation's `OVERLAPPED` is in `*overlapped`: what `GetQueuedCompletionStatus` gives
/// for it. It is to compare with, and to read once the operation has ended; valid until the handle is
/// deallocated. NULL for an operation of callbacks.
///
/// A packet may still be queued when its operation is deallocated, and a later operation have the same
/// address: take the packet first.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: `_overlapped.Overlapped.address`.
#[cfg(windows)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_overlapped_address(
    op: *mut rt_overlapped,
    overlapped: *mut *mut c_void,
) -> rt_status {
    boundary(|| {
        give(overlapped, operation_of(op)?.address())?;
        Ok(Status::Ok)
    })
}
