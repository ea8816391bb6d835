//! A file descriptor as a destination, on Unix.

use super::{Refused, is_would_block};
use crate::status::{Result, Status};
use crate::sync::{AtomicU32, Deadline, Ordering};
use libc::c_int;
use std::io::Write;
use std::time::Duration;

/// What the system waits by.
pub type Polled = c_int;

/// What the system says of an `errno`.
pub(super) fn errno_text(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// How a descriptor is written without waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Way {
    /// `write`: a file always has room or an error.
    Plain = 0,
    /// `send` with `MSG_DONTWAIT`.
    Socket = 1,
    /// `pwritev2` with `RWF_NOWAIT`: pipes, on Linux that knows it for them (6.4).
    NoWait = 2,
    /// Ask `poll`, then write no more than a pipe takes whole: everything else.
    PollFirst = 3,
    /// Open it again with `O_NONBLOCK`: terminals, which take part of a write and then wait for the
    /// rest. The host's own open file is shared with other processes and stays as it is.
    Terminal = 4,
}

/// A descriptor as a destination.
pub struct Descriptor {
    fd: c_int,
    way: AtomicU32,
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

    /// As [`new`](Descriptor::new), and allocates nothing: for the last word of a process, as is
    /// everything by which it writes.
    fn look(fd: c_int) -> std::result::Result<Descriptor, &'static str> {
        // SAFETY: fcntl and fstat on any number are harmless; `stat` is filled before it is read.
        let (flags, mode) = unsafe {
            let flags = libc::fcntl(fd, libc::F_GETFL);
            let mut stat = std::mem::zeroed::<libc::stat>();
            if flags < 0 || libc::fstat(fd, &mut stat) != 0 {
                return Err("");
            }
            (flags, stat.st_mode)
        };
        if flags & libc::O_ACCMODE == libc::O_RDONLY {
            return Err(" is read-only");
        }
        let way = match mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFBLK => Way::Plain,
            libc::S_IFSOCK => Way::Socket,
            libc::S_IFCHR if is_terminal(fd) => Way::Terminal,
            _ => Way::NoWait,
        };
        Ok(Descriptor { fd, way: AtomicU32::new(way as u32) })
    }

    /// The process's stderr, with nothing allocated.
    pub(crate) fn stderr() -> Option<Descriptor> {
        Descriptor::look(libc::STDERR_FILENO).ok()
    }

    /// What [`wait_for_room`] takes.
    pub fn polled(&self) -> Polled {
        self.fd
    }

    /// Closes it.
    ///
    /// # Safety
    /// It is the library's to close.
    pub(super) unsafe fn close(&self) -> std::result::Result<(), Refused> {
        // SAFETY: by this function's own contract.
        match unsafe { libc::close(self.fd) } {
            0 => Ok(()),
            // The descriptor is closed after EINTR, too; closing again could hit another's.
            _ if errno() == libc::EINTR => Ok(()),
            _ => Err(Refused::Errno(errno())),
        }
    }

    /// One attempt, with nothing allocated. What finds no room is lost.
    pub(super) fn write_at_once_to_stderr(line: &[u8]) {
        let way = AtomicU32::new(Way::NoWait as u32);
        let stderr = Descriptor { fd: libc::STDERR_FILENO, way };
        if let Err(Refused::WouldBlock) = stderr.write(line) {
            // A file that cannot be written without a wait for its disk.
            stderr.way.store(Way::PollFirst as u32, Ordering::Relaxed);
            let _ = stderr.write(line);
        }
    }

    fn way(&self) -> Way {
        match self.way.load(Ordering::Relaxed) {
            0 => Way::Plain,
            1 => Way::Socket,
            2 => Way::NoWait,
            3 => Way::PollFirst,
            _ => Way::Terminal,
        }
    }

    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        if self.way() == Way::Terminal {
            // It may call itself ready with less room than one character needs.
            let pause = Duration::from_millis(1);
            crate::sync::sleep(deadline.left().map_or(pause, |left| left.min(pause)));
        }
        poll(&mut [polled(self.fd)], deadline)
    }

    /// The last word's write: as any other.
    pub(crate) fn write_at_last(
        &self,
        data: &[u8],
        _: Deadline,
    ) -> std::result::Result<usize, Refused> {
        self.write(data)
    }

    pub(crate) fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        loop {
            let way = self.way();
            let wrote = match way {
                // Guarded like the rest: the host may have put a pipe in the file's place.
                Way::Plain => without_sigpipe(|| raw_write(self.fd, data)),
                Way::Socket => send(self.fd, data),
                Way::NoWait => write_nowait(self.fd, data),
                Way::Terminal => write_terminal(self.fd, data),
                Way::PollFirst => {
                    if !has_room(self.fd) {
                        return Err(Refused::WouldBlock);
                    }
                    let whole = data.len().min(libc::PIPE_BUF);
                    without_sigpipe(|| raw_write(self.fd, &data[..whole]))
                }
            };
            if let Ok(taken) = usize::try_from(wrote) {
                // A write that takes nothing and gives no error would be tried for ever.
                return if taken == 0 { Err(Refused::Errno(libc::EIO)) } else { Ok(taken) };
            }
            match errno() {
                libc::EINTR => {}
                // Not that kind of descriptor (any more), or a kernel without the flag.
                libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::ESPIPE | libc::ENOTSOCK
                    if matches!(way, Way::NoWait | Way::Socket | Way::Terminal) =>
                {
                    self.way.store(Way::PollFirst as u32, Ordering::Relaxed);
                }
                error if is_would_block(error) => return Err(Refused::WouldBlock),
                error => return Err(Refused::Errno(error)),
            }
        }
    }
}

fn raw_write(fd: c_int, data: &[u8]) -> isize {
    // SAFETY: the data is readable for its length.
    unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) }
}

fn send(fd: c_int, data: &[u8]) -> isize {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the data is readable for its length.
    unsafe { libc::send(fd, data.as_ptr().cast(), data.len(), flags) }
}

#[cfg(target_os = "linux")]
fn write_nowait(fd: c_int, data: &[u8]) -> isize {
    let part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: the one part is readable for its length; -1 is the file's own position.
    without_sigpipe(|| unsafe { libc::pwritev2(fd, &part, 1, -1, libc::RWF_NOWAIT) })
}

#[cfg(not(target_os = "linux"))]
fn write_nowait(_: c_int, _: &[u8]) -> isize {
    set_errno(libc::EOPNOTSUPP);
    -1
}

/// Whether it is the terminal's own end, the one that can be opened again.
#[cfg(target_os = "linux")]
fn is_terminal(fd: c_int) -> bool {
    let mut number: c_int = 0;
    // SAFETY: both only ask; the number of a pty's terminal is had from its other end only.
    unsafe { libc::isatty(fd) == 1 && libc::ioctl(fd, libc::TIOCGPTN, &mut number) != 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_terminal(_: c_int) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn write_terminal(fd: c_int, data: &[u8]) -> isize {
    let mut path = [0; 32];
    let _ = write!(&mut path[..], "/proc/self/fd/{fd}\0");
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends in a NUL; what is opened here is closed here.
    unsafe {
        let own = libc::open(path.as_ptr().cast(), flags);
        if own < 0 {
            set_errno(libc::EOPNOTSUPP);
            return -1;
        }
        let wrote = raw_write(own, data);
        let error = errno();
        libc::close(own);
        set_errno(error);
        wrote
    }
}

#[cfg(not(target_os = "linux"))]
fn write_terminal(_: c_int, _: &[u8]) -> isize {
    set_errno(libc::EOPNOTSUPP);
    -1
}

/// Keeps the signal of a write to a closed pipe, or beyond the largest file allowed, from ending the host: the
/// write's error says it.
fn without_sigpipe(write: impl FnOnce() -> isize) -> isize {
    // SAFETY: all sets are filled before they are read.
    unsafe {
        let mut both: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut both);
        libc::sigaddset(&mut both, libc::SIGPIPE);
        libc::sigaddset(&mut both, libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, &both, &mut before);
        // One that waits already is the host's; only a new one is taken away.
        let waits = |signal| libc::sigismember(&before, signal) == 1 && is_pending(signal);
        let (pipe_waited, size_waited) = (waits(libc::SIGPIPE), waits(libc::SIGXFSZ));
        let wrote = write();
        let error = errno();
        let signal = match error {
            libc::EPIPE if !pipe_waited => Some(libc::SIGPIPE),
            libc::EFBIG if !size_waited => Some(libc::SIGXFSZ),
            _ => None,
        };
        if let Some(signal) = signal.filter(|&signal| wrote < 0 && is_pending(signal)) {
            let (mut one, now) = (both, libc::timespec { tv_sec: 0, tv_nsec: 0 });
            libc::sigemptyset(&mut one);
            libc::sigaddset(&mut one, signal);
            libc::sigtimedwait(&one, std::ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        set_errno(error);
        wrote
    }
}

/// Whether this signal waits for this thread.
unsafe fn is_pending(signal: c_int) -> bool {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut pending);
        libc::sigismember(&pending, signal) == 1
    }
}

fn set_errno(error: i32) {
    #[cfg(target_os = "linux")]
    // SAFETY: the thread's own errno.
    unsafe {
        *libc::__errno_location() = error
    };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the thread's own errno.
    unsafe {
        *libc::__error() = error
    };
}

/// Whether the descriptor may have room, or an error to tell.
fn has_room(fd: c_int) -> bool {
    let mut polled = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, writable.
    unsafe { libc::poll(&mut polled, 1, 0) != 0 }
}

/// Waits until one of the descriptors may have room (or an error to tell), or until `deadline`.
///
/// # Errors
/// `Timeout`.
pub fn wait_for_room(fds: &[Polled], deadline: Deadline) -> Result<()> {
    poll(&mut fds.iter().map(|&fd| polled(fd)).collect::<Vec<_>>(), deadline)
}

fn polled(fd: c_int) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }
}

fn poll(polled: &mut [libc::pollfd], deadline: Deadline) -> Result<()> {
    loop {
        let ms = deadline.left().map_or(-1, |left| {
            // Rounded up: a wait must not turn into a busy loop in its last millisecond.
            i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        // SAFETY: `polled` is an array of that length.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, ms) };
        if ready > 0 {
            return Ok(());
        }
        if ready == 0 && deadline.passed() {
            return Err(Status::Timeout.error());
        }
        if ready < 0 && errno() != libc::EINTR {
            // Poll itself failed: let the write find out what is wrong.
            return Ok(());
        }
    }
}
