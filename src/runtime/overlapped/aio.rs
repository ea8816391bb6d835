//! POSIX asynchronous I/O.
//!
//! The control block and the buffer are this object's, on the heap, so they can outlive every handle.
//! glibc serves requests with helper threads of its own: one that is queued can be cancelled, one
//! whose helper sits in `read` cannot, and ends only when data comes. Such a helper writes into the
//! buffer whenever that is; freeing it would let another allocation be overwritten.

mod after_fork;

use super::provider::{Outcome, Progress, Provider, Why};
use crate::status::{Result, Status};
use crate::sync::activity::at_rest;
use crate::sync::{AtomicU32, Deadline, Mutex, Ordering, fork};
use crate::sys::cancellation::Shield;
use libc::c_int;
use std::cell::UnsafeCell;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// One request to the system.
pub(super) struct Request {
    /// From `submit` until it is done the system's own: only `aio_*` calls touch it.
    block: UnsafeCell<libc::aiocb>,
    /// The block points into it. Its length is 0 for reads: what the system has written is not
    /// counted as initialised before the outcome is known.
    buffer: Vec<u8>,
    size: usize,
    direction: Direction,
    /// The process that submitted it: its [`fork::generation`].
    process: AtomicU32,
    /// Its helper where the system has none.
    own: after_fork::Helper,
    /// What `aio_return` gave: it may be asked once.
    outcome: Mutex<Option<Outcome>>,
}

// SAFETY: the pointers in the block lead to `buffer`, which nobody touches while the request is in
// flight, and nobody writes afterwards; the block itself is used by `aio_*` calls only, which may be
// made from any thread.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

impl Request {
    /// To read up to `size` bytes.
    pub fn read(fd: c_int, size: usize, offset: i64) -> Result<Request> {
        Request::new(fd, Direction::Read, room(size)?, size, offset)
    }

    /// To write a copy of `data`.
    pub fn write(fd: c_int, data: &[u8], offset: i64) -> Result<Request> {
        let mut buffer = room(data.len())?;
        buffer.extend_from_slice(data);
        Request::new(fd, Direction::Write, buffer, data.len(), offset)
    }

    fn new(
        fd: c_int,
        direction: Direction,
        mut buffer: Vec<u8>,
        size: usize,
        offset: i64,
    ) -> Result<Request> {
        // glibc finds a bad descriptor only in its helper, long after the caller could act on it.
        // SAFETY: harmless on any number.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        let needs = if direction == Direction::Read { libc::O_RDONLY } else { libc::O_WRONLY };
        let mode = flags & libc::O_ACCMODE;
        if flags < 0 || (mode != libc::O_RDWR && mode != needs) {
            return Err(Status::BadDescriptor.because(format!("descriptor {fd}")));
        }
        let offset = libc::off_t::try_from(offset).ok().filter(|offset| *offset >= 0);
        let offset = offset.ok_or_else(|| Status::Invalid.because("the offset is out of range"))?;
        // SAFETY: all zeroes is a valid block.
        let mut block = unsafe { std::mem::zeroed::<libc::aiocb>() };
        block.aio_fildes = fd;
        block.aio_buf = buffer.as_mut_ptr().cast();
        block.aio_nbytes = size;
        block.aio_offset = offset;
        block.aio_sigevent.sigev_notify = libc::SIGEV_NONE;
        Ok(Request {
            block: UnsafeCell::new(block),
            buffer,
            size,
            direction,
            process: AtomicU32::new(0),
            own: after_fork::Helper::default(),
            outcome: Mutex::new(None),
        })
    }

    /// In a child of `fork` the helpers do not exist, and the locks of the system's AIO may never be
    /// released: no `aio_*` call may be made on the parent's requests.
    fn is_the_parents(&self) -> bool {
        // Relaxed: written by `submit`, before anyone else can ask.
        self.process.load(Ordering::Relaxed) != fork::generation()
    }

    fn look(&self) -> Progress {
        let mut outcome = self.outcome.lock();
        if let Some(outcome) = *outcome {
            return Progress::Done(outcome);
        }
        if self.is_the_parents() {
            return Progress::Pending(Why::Forked);
        }
        if let Some(progress) = self.own.progress() {
            return progress;
        }
        // SAFETY: the block was submitted, and lives as long as `self`.
        let ended = match unsafe { libc::aio_error(self.block.get()) } {
            libc::EINPROGRESS => return Progress::Pending(Why::InFlight),
            0 => {
                // SAFETY: as above; it is done, and the lock makes this the only time.
                let count = unsafe { libc::aio_return(self.block.get()) };
                usize::try_from(count).map_err(|_| libc::EIO)
            }
            errno => {
                // SAFETY: as above. The count is no news: the request failed.
                unsafe { libc::aio_return(self.block.get()) };
                Err(errno)
            }
        };
        *outcome = Some(ended);
        Progress::Done(ended)
    }
}

/// An empty buffer with room for `size` bytes.
fn room(size: usize) -> Result<Vec<u8>> {
    if size == 0 || isize::try_from(size).is_err() {
        return Err(Status::Size.because(format!("an operation of {size} bytes")));
    }
    let mut buffer = Vec::new();
    match buffer.try_reserve_exact(size) {
        Ok(()) => Ok(buffer),
        Err(_) => Err(Status::NoMemory.because(format!("an operation of {size} bytes"))),
    }
}

impl Provider for Request {
    fn submit(&self) -> Result<()> {
        self.process.store(fork::generation(), Ordering::Relaxed);
        if after_fork::is_child_of_user() {
            // SAFETY: as below.
            return unsafe { self.own.begin(self.block.get(), self.direction == Direction::Write) };
        }
        // SAFETY: the block is filled, its buffer has room for `aio_nbytes`, and both stay where they
        // are until the request is done: `self` is in an `Arc` that is shelved if it is not.
        let refused = unsafe {
            match self.direction {
                Direction::Read => libc::aio_read(self.block.get()),
                Direction::Write => libc::aio_write(self.block.get()),
            }
        };
        if refused == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        Err(match error.raw_os_error() {
            Some(libc::EAGAIN) => {
                Status::WouldBlock.because("the system takes no more requests now")
            }
            Some(libc::EBADF) => Status::BadDescriptor.error(),
            Some(libc::ENOSYS) => Status::Unsupported.error(),
            _ => Status::Io.because(error.to_string()),
        })
    }

    fn cancel(&self) {
        if self.own.cancel() {
            return;
        }
        if matches!(self.look(), Progress::Pending(Why::InFlight)) {
            // SAFETY: the block was submitted and lives as long as `self`; the descriptor was not
            // changed. If the host closed it the call fails, and nothing is cancelled.
            unsafe { libc::aio_cancel((*self.block.get()).aio_fildes, self.block.get()) };
        }
    }

    fn wait(&self, deadline: Deadline) -> Progress {
        // aio_suspend is a cancellation point.
        let _shield = Shield::up();
        loop {
            let progress = self.look();
            let left = deadline.left();
            if progress != Progress::Pending(Why::InFlight) || left.is_some_and(|l| l.is_zero()) {
                return progress;
            }
            if self.own.wait(deadline) {
                continue;
            }
            // A clock that is asked for too much wakes early, and this loop asks again.
            let timeout = left.map(|left| libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs().min(1 << 30)).unwrap_or(1 << 30),
                tv_nsec: left.subsec_nanos().into(),
            });
            let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            let list = [self.block.get().cast_const()];
            // Why it returned (done, time-out, a signal) is for the next look to find out.
            // SAFETY: the block lives as long as `self`, which this call borrows.
            at_rest(|| unsafe { libc::aio_suspend(list.as_ptr(), 1, timeout) });
        }
    }

    fn close(&self) {
        // The descriptor is the host's, and the memory goes with the last reference.
    }

    fn answers_when_leaked(&self) -> bool {
        // Asking touches only memory that is kept.
        true
    }

    fn bytes(&self) -> u64 {
        self.size as u64
    }

    fn data(&self) -> Option<&[u8]> {
        let Progress::Done(outcome) = self.look() else { return None };
        let count = outcome.ok().filter(|_| self.direction == Direction::Read)?;
        // SAFETY: the request is done, so the system has filled the first `count` bytes and writes no
        // more; nobody else ever writes.
        Some(unsafe { std::slice::from_raw_parts(self.buffer.as_ptr(), count) })
    }
}
