//! Where a writer's bytes go: a descriptor, or the host's callbacks.
//!
//! A raw write says exactly how many bytes were taken, or takes none. So that a writer's lock is
//! never held over a wait, a raw write also does not wait where the system lets us say so: the wait
//! for room is a call of its own. Regular files are written plainly.

use crate::host_call::{self, Stopped};
use crate::status::{Error, Result, Status};
use crate::sync::{AtomicU32, Deadline, Ordering};
use libc::{c_int, c_void};
use std::io::Write;
use std::time::Duration;

/// The most one raw write may take: its count fits the lock's progress cell.
pub const RAW_WRITE_MAX: usize = 1 << 30;

/// Why a raw write took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room now.
    WouldBlock,
    /// The system's error number.
    Errno(i32),
    /// A callback gave no answer.
    Stopped(Stopped),
    /// The writer is sealed; nothing was offered.
    Sealed,
    /// It returned in the child of a fork: the parent hears what was taken.
    Forked,
}

impl Refused {
    /// The error to give to the host.
    pub fn error(self, writer: &str) -> Error {
        match self {
            Refused::WouldBlock => Status::WouldBlock.because(format!("writer '{writer}' is full")),
            Refused::Errno(libc::EBADF) => {
                Status::BadDescriptor.because(format!("writer '{writer}'"))
            }
            Refused::Errno(errno) => {
                let text = std::io::Error::from_raw_os_error(errno);
                Status::Io.because(format!("writer '{writer}': {text}"))
            }
            Refused::Sealed => Status::Finalizing.because(format!("writer '{writer}'")),
            Refused::Forked => forked(writer),
            Refused::Stopped(stopped) => {
                let how = stopped.text();
                Status::Callback.because(format!("writer '{writer}': callback {how}"))
            }
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
    pub write:
        unsafe extern "C-unwind" fn(arg: *mut c_void, data: *const c_void, len: usize) -> i64,
    /// Waits up to `timeout_us` (negative: for ever) for room; 0 when there may be some. Optional:
    /// without it, a writer that got `EAGAIN` gives `WouldBlock` to its caller.
    pub wait: Option<unsafe extern "C-unwind" fn(arg: *mut c_void, timeout_us: i64) -> c_int>,
    /// Called once when the writer is closed or abandoned. Optional.
    pub close: Option<unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int>,
    /// Passed to all of them.
    pub arg: *mut c_void,
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
    pub fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
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

    /// Waits until there may be room, or until `deadline`.
    ///
    /// # Errors
    /// `Timeout`; `WouldBlock` if callbacks offer no way to wait.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
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
    pub fn descriptor(&self) -> Option<c_int> {
        match self {
            Sink::Descriptor(descriptor) => Some(descriptor.fd),
            Sink::Callbacks(_) => None,
        }
    }

    /// Closes a descriptor it owns, or tells the callbacks.
    pub fn close(&self, owned: bool) -> std::result::Result<(), Refused> {
        match self {
            Sink::Descriptor(descriptor) if owned => {
                // SAFETY: the host gave the descriptor away.
                match unsafe { libc::close(descriptor.fd) } {
                    0 => Ok(()),
                    // The descriptor is closed after EINTR, too; closing again could hit another's.
                    _ if errno() == libc::EINTR => Ok(()),
                    _ => Err(Refused::Errno(errno())),
                }
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
    pub(crate) fn look(fd: c_int) -> std::result::Result<Descriptor, &'static str> {
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

/// Writes all of `data` to a descriptor, waiting for room until `deadline`.
///
/// # Errors
/// `BadDescriptor`, `Io`, `Timeout`: a part may have been written.
pub fn write_all(fd: c_int, data: &[u8], deadline: Deadline) -> Result<()> {
    let descriptor = Descriptor::new(fd)?;
    let mut rest = data;
    while !rest.is_empty() {
        match descriptor.write(rest) {
            Ok(taken) => rest = &rest[taken..],
            Err(Refused::WouldBlock) => descriptor.wait(deadline)?,
            Err(Refused::Errno(error)) if error != libc::EBADF => {
                let text = std::io::Error::from_raw_os_error(error);
                return Err(Status::Io.because(format!("descriptor {fd}: {text}")));
            }
            Err(_) => return Err(Status::BadDescriptor.because(format!("descriptor {fd}"))),
        }
    }
    Ok(())
}

/// Writes a line to stderr, in one piece. One that nobody reads is not worth a wait, nor a signal; and
/// no name in it makes two lines of one.
pub fn tell(line: &str) {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let line: String = line.chars().map(printable).chain(['\n']).collect();
    let _ = write_all(libc::STDERR_FILENO, line.as_bytes(), Deadline::after_us(0));
}

/// As [`tell`], of a line that is whole, with nothing allocated. What finds no room is lost.
pub(crate) fn tell_at_once(line: &[u8]) {
    let way = AtomicU32::new(Way::NoWait as u32);
    let stderr = Descriptor { fd: libc::STDERR_FILENO, way };
    if let Err(Refused::WouldBlock) = stderr.write(line) {
        // A file that cannot be written without a wait for its disk.
        stderr.way.store(Way::PollFirst as u32, Ordering::Relaxed);
        let _ = stderr.write(line);
    }
}

/// Keeps the signal of a write to a closed pipe from ending the host: the write's error says it.
fn without_sigpipe(write: impl FnOnce() -> isize) -> isize {
    // SAFETY: all sets are filled before they are read.
    unsafe {
        let mut pipe: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        // One that waits already is the host's; only a new one is taken away.
        let was_pending = libc::sigismember(&before, libc::SIGPIPE) == 1 && is_pending();
        let wrote = write();
        let error = errno();
        if wrote < 0 && error == libc::EPIPE && !was_pending && is_pending() {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&pipe, std::ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        set_errno(error);
        wrote
    }
}

/// Whether a SIGPIPE waits for this thread.
unsafe fn is_pending() -> bool {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut pending);
        libc::sigismember(&pending, libc::SIGPIPE) == 1
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
pub fn wait_for_room(fds: &[c_int], deadline: Deadline) -> Result<()> {
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
