//! Buffered writers.

use super::boundary::{boundary, bytes, give, give_versioned, required, text, versioned};
use super::handle::{Pinned, Table};
use super::rt_status;
use super::runtime::{rt_runtime, runtime_of};
use crate::io::{Callbacks, Descriptor, Sink};
use crate::runtime::writer::{Writer, WriterOptions};
use crate::status::{Result, Status};
use crate::sync::Deadline;
use libc::{c_char, c_int, c_void};

/// A buffered writer over a descriptor or callbacks.
pub enum rt_writer {}

static WRITERS: Table<Writer> = Table::new(0x26f1_9d31);

/// Flush after each record that contains a newline, as far as the destination has room.
pub const RT_WRITER_LINE_BUFFERED: u32 = 1;
/// Close the descriptor with the writer.
pub const RT_WRITER_OWNS_FD: u32 = 2;
/// The child of a `fork` keeps what the buffer holds then, and writes it: for a host that goes on in the
/// child, while the parent ends without finalizing (`_exit`). Bytes in a raw write at that moment stay
/// the parent's.
pub const RT_WRITER_FORK_KEEP: u32 = 4;

const KNOWN_FLAGS: u32 = RT_WRITER_LINE_BUFFERED | RT_WRITER_OWNS_FD | RT_WRITER_FORK_KEEP;

/// How a writer is made. Zero in a field is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_writer_options {
    /// `sizeof(rt_writer_options)`.
    pub struct_size: usize,
    /// The name reports use, copied; NULL for `writer`.
    pub name: *const c_char,
    /// The size of the buffer in bytes; 0 is 128 KiB.
    pub capacity: usize,
    /// `RT_WRITER_*`, or-ed.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
}

const OPTIONS_FIRST_VERSION: usize = size_of::<rt_writer_options>();

/// Takes up to `len` bytes at `data`, which stay the library's: returns how many it took, or a negative
/// `errno` if none; `-EAGAIN` and 0 mean that there is no room now, `-EINTR` that it shall be called
/// again.
///
/// Called with the writer's lock held. A callback in which the thread can be parked (it leaves and
/// enters the runtime) calls `rt_writer_publish_progress` with what was taken before it enters.
pub type rt_write_callback =
    Option<unsafe extern "C-unwind" fn(arg: *mut c_void, data: *const c_void, len: usize) -> i64>;

/// Waits up to `timeout_us` microseconds (negative: indefinitely) until there may be room: returns 0 then,
/// 1 after the time-out, negative if it failed. Called without the writer's lock.
pub type rt_wait_callback =
    Option<unsafe extern "C-unwind" fn(arg: *mut c_void, timeout_us: i64) -> c_int>;

/// A host's own destination.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_writer_callbacks {
    /// `sizeof(rt_writer_callbacks)`.
    pub struct_size: usize,
    /// Takes bytes. Must be given.
    pub write: rt_write_callback,
    /// Waits for room. Without it a full destination makes `rt_writer_write` return
    /// `RT_ERR_WOULD_BLOCK`.
    pub wait: rt_wait_callback,
    /// Called once when the writer is closed or abandoned; may be NULL. Negative is an `errno`.
    pub close: super::rt_callback,
    /// Passed to all of them; stays the host's.
    pub arg: *mut c_void,
}

const CALLBACKS_FIRST_VERSION: usize = size_of::<rt_writer_callbacks>();

/// What became of a writer's bytes. `accepted == written + unwritten + in_flight`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_writer_account {
    /// `sizeof(rt_writer_account)`.
    pub struct_size: usize,
    /// Bytes of the records whose write succeeded.
    pub accepted: u64,
    /// Bytes the destination took.
    pub written: u64,
    /// Bytes still in the buffer.
    pub unwritten: u64,
    /// Bytes in a raw write that has not returned: they may or may not arrive.
    pub in_flight: u64,
    /// Bytes found in the buffer when the lock was taken over from an owner that will never run.
    pub recovered: u64,
    /// Bytes that were in the buffer when a `fork` made this process: the parent's, and in no other
    /// number here.
    pub left_to_parent: u64,
}

const ACCOUNT_FIRST_VERSION: usize = std::mem::offset_of!(rt_writer_account, left_to_parent);

fn writer_of(writer: *mut rt_writer) -> Result<Pinned<Writer>> {
    WRITERS.pin(writer.addr())
}

fn open(
    runtime: *mut rt_runtime,
    sink: Sink,
    options: *const rt_writer_options,
    writer: *mut *mut rt_writer,
) -> Result<Status> {
    let mut converted = WriterOptions { name: "writer".into(), ..WriterOptions::default() };
    crate::sys::memory::spare(0)?;
    if !options.is_null() {
        // SAFETY: by the header; integers and pointers are zeroable.
        let given = unsafe { versioned(options, OPTIONS_FIRST_VERSION)? };
        if given.flags & !KNOWN_FLAGS != 0 || given.reserved != 0 {
            return Err(Status::Invalid.because("an unknown flag is set"));
        }
        if let Some(name) = text(given.name)? {
            converted.name = name.into();
        }
        converted.capacity = given.capacity;
        converted.line_buffered = given.flags & RT_WRITER_LINE_BUFFERED != 0;
        converted.keeps_over_fork = given.flags & RT_WRITER_FORK_KEEP != 0;
        converted.owns_descriptor = given.flags & RT_WRITER_OWNS_FD != 0;
    }
    if writer.is_null() {
        return Err(Status::Null.error());
    }
    let made = Writer::new(&runtime_of(runtime)?, sink, converted)?;
    match WRITERS.insert(made.clone()) {
        Ok(handle) => give(writer, std::ptr::without_provenance_mut(handle)).map(|()| Status::Ok),
        Err(error) => {
            made.disown();
            Err(error)
        }
    }
}

/// Makes a buffered writer over a descriptor, registers it for the runtime's flush phases, and stores
/// its handle in `*writer`.
///
/// The descriptor stays the host's unless `RT_WRITER_OWNS_FD` is given; it must stay open as long as
/// the writer. The handle is the host's: end it with `rt_writer_close` or `rt_writer_abandon`.
///
/// On Windows it is a descriptor of the C runtime that the library is linked to, which need not be the
/// host's: `rt_writer_open_handle` has no such question. A disk file's is written by that runtime, so at
/// its end if it was opened for appending, and with newlines translated if it was opened as text; a
/// pipe's or a console's gets the bytes as they are.
///
/// Thread: any. Stage: until the runtime freezes; on the finalizing thread until
/// its writers are sealed, after the exit functions. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_BAD_DESCRIPTOR` (closed, or read-only), `RT_ERR_NULL`, `RT_ERR_HANDLE`,
/// `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`, `RT_ERR_INVALID` (a flag), `RT_ERR_SIZE` and `RT_ERR_NO_MEMORY`
/// (the capacity), `RT_ERR_FINALIZING`.
///
/// CPython: `BufferedWriter(FileIO(fd))`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_open_fd(
    runtime: *mut rt_runtime,
    fd: c_int,
    options: *const rt_writer_options,
    writer: *mut *mut rt_writer,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header, the descriptor stays open as long as the writer.
        let descriptor = unsafe { Descriptor::new(fd) }?;
        open(runtime, Sink::Descriptor(descriptor), options, writer)
    })
}

/// Makes a buffered writer over a Windows `HANDLE`: a disk file's, a pipe's or a console's, opened for
/// writing and not for overlapped I/O. Otherwise as `rt_writer_open_fd`; with `RT_WRITER_OWNS_FD` it is
/// closed with the writer. Bytes are written as they are; the messages of a pipe that has such are not the
/// records.
///
/// A pipe keeps its modes. Only while a write finds it full, or its reader waiting with a large buffer, is
/// its end in the mode `PIPE_NOWAIT`, for the moment of that write: a read of the same end that another
/// thread begins just then may fail with `ERROR_NO_DATA`, and is to be tried again.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns what `rt_writer_open_fd` does.
///
/// CPython: `_winapi.WriteFile`.
#[cfg(windows)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_open_handle(
    runtime: *mut rt_runtime,
    handle: *mut c_void,
    options: *const rt_writer_options,
    writer: *mut *mut rt_writer,
) -> rt_status {
    boundary(|| {
        // SAFETY: by the header, the handle stays open as long as the writer.
        let destination = unsafe { Descriptor::of_handle(crate::io::Handle(handle)) }?;
        open(runtime, Sink::Descriptor(destination), options, writer)
    })
}

/// Makes a buffered writer over callbacks, which are copied. Otherwise as `rt_writer_open_fd`.
///
/// Thread: any. Stage: until the runtime freezes. Signal handler: limited.
///
/// Returns what `rt_writer_open_fd` does; `RT_ERR_NULL` also if there is no `write`.
///
/// CPython: `BufferedWriter` over a raw stream of Python's.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_open_callbacks(
    runtime: *mut rt_runtime,
    callbacks: *const rt_writer_callbacks,
    options: *const rt_writer_options,
    writer: *mut *mut rt_writer,
) -> rt_status {
    boundary(|| {
        required(callbacks)?;
        // SAFETY: by the header; pointers and optional functions are zeroable.
        let given = unsafe { versioned(callbacks, CALLBACKS_FIRST_VERSION)? };
        let write = given.write.ok_or_else(|| Status::Null.because("no write callback"))?;
        let host = Callbacks { write, wait: given.wait, close: given.close, arg: given.arg };
        open(runtime, Sink::Callbacks(host), options, writer)
    })
}

/// Accepts a record of `len` bytes, whole or not at all, waiting for room as long as it takes.
///
/// What is accepted is written exactly once, or counted in the report. Records of several threads do
/// not mix. A record larger than the buffer is accepted when the buffer is empty. A wait for room holds
/// no lock, and an attached thread is outside the runtime meanwhile (and may be parked when it comes
/// back). In a callback of a finalization a wait for room or for the lock ends with the time of that: the
/// deadline, before the freeze a quarter earlier (500 ms at most), or a budget of the phase that the host
/// has set. `data` may be NULL if `len` is 0.
///
/// In the child of a `fork` the writer is empty and its account starts at zero: what it held is the
/// parent's, which writes or reports it (`RT_WRITER_FORK_KEEP` says otherwise). Threads of the parent
/// hold no lock there; the forking thread still has what it locked. A call in whose callback the process
/// was forked returns `RT_ERR_STATE` in the child: its record is the parent's.
///
/// A thread in this call cannot be cancelled.
///
/// Thread: any, attached or not. Stage: until the runtime freezes; the
/// finalizing thread until the end. Signal handler: limited.
///
/// Returns `RT_OK`. With any error nothing was accepted (but for a record larger than the buffer of which
/// the destination had taken a part when finalization ended: the report counts that part):
/// `RT_ERR_FINALIZING`; `RT_ERR_EXIT_THREAD` by policy; `RT_ERR_IO` and `RT_ERR_BAD_DESCRIPTOR` if there is no room and the destination fails;
/// `RT_ERR_WOULD_BLOCK` if callbacks cannot wait; `RT_ERR_TIMEOUT` in a callback of a finalization, or if a
/// wait callback says so; `RT_ERR_CALLBACK` if a callback failed to wait or ended its thread;
/// `RT_ERR_REENTRANT` from inside a callback of the same writer; `RT_ERR_OWNER_BLOCKED` as for the lock;
/// `RT_ERR_STATE` if it is closed, or it returns in the child of a `fork`; `RT_ERR_NULL`, `RT_ERR_HANDLE`,
/// `RT_ERR_SIZE`, `RT_ERR_NO_MEMORY`.
///
/// CPython: `BufferedWriter.write`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_write(
    writer: *mut rt_writer,
    data: *const c_void,
    len: usize,
) -> rt_status {
    boundary(|| write(writer, data, len, -1))
}

/// As `rt_writer_write`, waiting at most `timeout_us` microseconds: negative waits indefinitely,
/// 0 does not wait.
///
/// On Windows a write to a pipe or a device waits without a bound where another thread is in an operation on
/// the same handle, or a console is paused. Given a time it is made by a thread of the library's, and left
/// to it if it has returned neither by then nor within a tenth of a second. Its bytes are in flight until
/// it returns, and nothing is written before them.
///
/// Thread: as there. Stage: as there. Signal handler: limited.
///
/// Returns what `rt_writer_write` does, and `RT_ERR_TIMEOUT`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_write_timed(
    writer: *mut rt_writer,
    data: *const c_void,
    len: usize,
    timeout_us: i64,
) -> rt_status {
    boundary(|| write(writer, data, len, timeout_us))
}

fn write(
    writer: *mut rt_writer,
    data: *const c_void,
    len: usize,
    timeout_us: i64,
) -> Result<Status> {
    let record = bytes(data, len)?;
    writer_of(writer)?.write(record, Deadline::after_us(timeout_us))?;
    Ok(Status::Ok)
}

/// Writes everything accepted before the call, waiting at most `timeout_us` microseconds: negative
/// waits indefinitely, 0 does not wait. On Windows see `rt_writer_write_timed`.
///
/// Thread: as `rt_writer_write`. Stage: as there. Signal handler: limited.
///
/// Returns `RT_OK`. With any error the rest stays in the buffer: `RT_ERR_TIMEOUT`, `RT_ERR_IO`,
/// `RT_ERR_BAD_DESCRIPTOR`, `RT_ERR_WOULD_BLOCK`, `RT_ERR_FINALIZING`, `RT_ERR_EXIT_THREAD`,
/// `RT_ERR_REENTRANT`, `RT_ERR_OWNER_BLOCKED`, `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: `BufferedWriter.flush`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_writer_flush(writer: *mut rt_writer, timeout_us: i64) -> rt_status {
    boundary(|| {
        writer_of(writer)?.flush(Deadline::after_us(timeout_us))?;
        Ok(Status::Ok)
    })
}

/// Takes the writer's lock, so that this thread's records up to `rt_writer_unlock` stay together.
///
/// Should the thread be parked or exit meanwhile, the lock is taken over from it and what it wrote is
/// flushed. A wait for room inside keeps the lock.
///
/// Thread: as `rt_writer_write`. Stage: as there. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_REENTRANT` if it is locked by this thread already; `RT_ERR_FINALIZING`,
/// `RT_ERR_OWNER_BLOCKED`, `RT_ERR_STATE`, `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_writer_lock(writer: *mut rt_writer) -> rt_status {
    boundary(|| {
        writer_of(writer)?.lock(Deadline::NEVER)?;
        Ok(Status::Ok)
    })
}

/// Gives back what `rt_writer_lock` took.
///
/// Thread: the one that locked. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_OWNER`, `RT_ERR_STATE` from inside a callback of the writer,
/// `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_writer_unlock(writer: *mut rt_writer) -> rt_status {
    boundary(|| {
        writer_of(writer)?.unlock()?;
        Ok(Status::Ok)
    })
}

/// A `write` callback says how many bytes its destination has taken, before its thread enters the
/// runtime again and may be parked there.
///
/// Thread: the one in the callback. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_OWNER` outside the callback; `RT_ERR_SIZE` for more than was offered;
/// `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none; see `rt_buffered_lock_publish_progress`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_writer_publish_progress(
    writer: *mut rt_writer,
    bytes: usize,
) -> rt_status {
    boundary(|| {
        writer_of(writer)?.publish_progress(bytes)?;
        Ok(Status::Ok)
    })
}

/// Says what became of the writer's bytes so far. Set `account->struct_size` before the call.
///
/// Thread: any. Stage: any while the handle lives; after finalization the numbers are final.
/// Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_STRUCT_SIZE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_get_account(
    writer: *mut rt_writer,
    account: *mut rt_writer_account,
) -> rt_status {
    boundary(|| {
        let now = writer_of(writer)?.account();
        let value = rt_writer_account {
            struct_size: 0,
            accepted: now.accepted,
            written: now.written,
            unwritten: now.unwritten,
            in_flight: now.in_flight,
            recovered: now.recovered,
            left_to_parent: now.left_to_parent,
        };
        // SAFETY: by the header.
        unsafe { give_versioned(account, value, ACCOUNT_FIRST_VERSION)? };
        Ok(Status::Ok)
    })
}

/// Flushes, waiting at most `timeout_us` microseconds for room, and ends the writer: the handle is gone.
///
/// After an error in flushing nothing has changed: close again, or `rt_writer_abandon`. Only if the
/// descriptor's own `close` (or the callback) fails, the handle is gone and `RT_ERR_IO` tells of it; the
/// bytes were written. On Windows so does a pipe's or device's handle that another thread is in an
/// operation on, which the system does not close before that ends: given a time, or while finalizing, it
/// is left open or to be closed then, and entered as a leak (`RT_LEAK_WRITER`).
///
/// Thread: any. Stage: any; after finalization it only ends the handle. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_TIMEOUT`, `RT_ERR_IO`, `RT_ERR_BAD_DESCRIPTOR`, `RT_ERR_WOULD_BLOCK`,
/// `RT_ERR_FINALIZING`, `RT_ERR_EXIT_THREAD`, `RT_ERR_REENTRANT`, `RT_ERR_OWNER_BLOCKED`, `RT_ERR_STATE`,
/// `RT_ERR_CALLBACK`, `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: `BufferedWriter.close`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_writer_close(writer: *mut rt_writer, timeout_us: i64) -> rt_status {
    boundary(|| {
        let writer = writer_of(writer)?;
        let closed = writer.close(Deadline::after_us(timeout_us));
        if writer.is_closed() {
            Pinned::close(&writer);
        }
        closed.map(|()| Status::Ok)
    })
}

/// Ends the writer whatever is left in it, and stores how many bytes were not written in `*lost` (may be
/// NULL). The handle is gone. If bytes were lost, the runtime's report names them, and its status is
/// `RT_ERR_INCOMPLETE`.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_OWNER_BLOCKED` or `RT_ERR_TIMEOUT` while another thread is at work in it,
/// waited for at most one second, and `RT_ERR_REENTRANT`: the handle stays; `RT_ERR_IO`,
/// `RT_ERR_BAD_DESCRIPTOR` or `RT_ERR_CALLBACK` if only closing the destination failed: the handle is
/// gone; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_writer_abandon(
    writer: *mut rt_writer,
    lost: *mut u64,
) -> rt_status {
    boundary(|| {
        let writer = writer_of(writer)?;
        let mut count = 0;
        let abandoned = writer.abandon(Deadline::after_us(1_000_000), &mut count);
        if writer.is_closed() {
            Pinned::close(&writer);
            if !lost.is_null() {
                give(lost, count)?;
            }
        }
        abandoned.map(|()| Status::Ok)
    })
}
