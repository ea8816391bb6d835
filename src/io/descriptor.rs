//! A file descriptor as a destination, on Unix.

pub(super) use super::errno::errno_text;
use super::errno::{errno, set_errno};
use super::poll::{look_at, polled};
use super::sigpipe::without_sigpipe;
use super::{Refused, is_would_block};
use crate::status::{Result, Status};
use crate::sync::activity::at_rest;
use crate::sync::{AtomicU32, AtomicU64, Deadline, Ordering};
use libc::c_int;
use std::io::Write;
use std::time::Duration;

/// What the system waits by.
pub type Polled = c_int;

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
///
/// What it leads to is asked again before each write: the host may have put something else in its place
/// (`dup2`, by which logs are rotated and daemons turn their streams round). A pipe written as the file
/// that was there before would wait for room without a bound.
pub struct Descriptor {
    fd: c_int,
    way: AtomicU32,
    /// What it led to when the way was chosen.
    seen: AtomicU64,
}

/// What a descriptor leads to.
#[derive(Clone, Copy)]
struct Place {
    mode: libc::mode_t,
    device: libc::dev_t,
    /// A number that is another one for another place.
    identity: u64,
}

impl Place {
    /// Nobody knows: what is certain for no kind of place is not relied on.
    const UNKNOWN: Place = Place { mode: 0, device: 0, identity: 0 };

    /// Asks the system. Allocates nothing.
    fn of(fd: c_int) -> std::result::Result<Place, Refused> {
        // SAFETY: fstat of any number is harmless; `stat` is filled before it is read.
        let stat = unsafe {
            let mut stat = std::mem::zeroed::<libc::stat>();
            if libc::fstat(fd, &mut stat) != 0 {
                return match errno() {
                    libc::EBADF => Err(Refused::Errno(libc::EBADF)),
                    _ => Ok(Place::UNKNOWN),
                };
            }
            stat
        };
        // Mixed, so that no two numbers of one place make up for those of another.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let identity = [stat.st_dev as u64, stat.st_ino as u64, stat.st_rdev as u64]
            .into_iter()
            .fold(u64::from(stat.st_mode), |mixed, number| {
                (mixed.rotate_left(23) ^ number).wrapping_mul(ODD)
            });
        Ok(Place { mode: stat.st_mode, device: stat.st_rdev, identity })
    }

    fn way(self, fd: c_int) -> Way {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFBLK => Way::Plain,
            libc::S_IFSOCK => Way::Socket,
            libc::S_IFCHR if is_terminal(fd, self.device) => Way::Terminal,
            _ => Way::NoWait,
        }
    }
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

    /// As [`new`](Descriptor::new), and allocates nothing: for the last word of a process, as is
    /// everything by which it writes.
    fn look(fd: c_int) -> std::result::Result<Descriptor, &'static str> {
        // SAFETY: fcntl on any number is harmless.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        if flags < 0 && errno() == libc::EBADF {
            return Err("");
        }
        if flags >= 0 && flags & libc::O_ACCMODE == libc::O_RDONLY {
            return Err(" is read-only");
        }
        let place = Place::of(fd).map_err(|_| "")?;
        let way = AtomicU32::new(place.way(fd) as u32);
        Ok(Descriptor { fd, way, seen: AtomicU64::new(place.identity) })
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
        if let Some(stderr) = Descriptor::stderr() {
            let _ = stderr.write(line);
        }
    }

    /// One attempt by a thread that must come back whatever stderr is: a file whose system is gone takes
    /// nothing.
    pub(crate) fn write_to_stderr_or_not(line: &[u8]) {
        let fd = libc::STDERR_FILENO;
        if write_nowait(fd, line) < 0 && send(fd, line) < 0 && is_terminal(fd, 0) {
            write_reopened(fd, line);
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

    /// The way to write to what is there now.
    fn way_now(&self) -> std::result::Result<Way, Refused> {
        let place = Place::of(self.fd)?;
        // Relaxed, both: whoever writes has the writer's lock, or is the last of all.
        if self.seen.swap(place.identity, Ordering::Relaxed) != place.identity {
            self.way.store(place.way(self.fd) as u32, Ordering::Relaxed);
        }
        Ok(self.way())
    }

    pub(crate) fn write(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        let way = self.way_now()?;
        let special = match way {
            Way::Plain => {
                return self.attempt(|| without_sigpipe(self.fd, || raw_write(self.fd, data)));
            }
            Way::PollFirst => return self.write_polled(data),
            Way::Socket => self.attempt(|| send(self.fd, data)),
            Way::NoWait => self.attempt(|| write_nowait(self.fd, data)),
            Way::Terminal => self.attempt(|| write_reopened(self.fd, data)),
        };
        match special {
            // A kernel that does not know it for this kind of place, or a filter that keeps the call from
            // this process: what a plain write says is true.
            Err(Refused::Errno(error)) if is_refusal(error) => {
                let plain = self.write_polled(data);
                if plain.is_ok() {
                    self.way.store(Way::PollFirst as u32, Ordering::Relaxed);
                }
                plain
            }
            answer => answer,
        }
    }

    /// Writes what goes by what `poll` says. Where that is refused, as to a terminal.
    fn write_polled(&self, data: &[u8]) -> std::result::Result<usize, Refused> {
        let whole = &data[..data.len().min(libc::PIPE_BUF)];
        loop {
            match has_room(self.fd) {
                Some(true) => {}
                Some(false) => return Err(Refused::WouldBlock),
                None => match self.attempt(|| write_reopened(self.fd, whole)) {
                    Err(Refused::Errno(error)) if is_refusal(error) => {}
                    answer => return answer,
                },
            }
            match answer_of(without_sigpipe(self.fd, || raw_write(self.fd, whole))) {
                // Who interrupted it may have used the room up.
                Err(Refused::Errno(libc::EINTR)) => {}
                answer => return answer,
            }
        }
    }

    /// What came of a call, which is made again if a signal interrupts it.
    fn attempt(&self, call: impl Fn() -> isize) -> std::result::Result<usize, Refused> {
        loop {
            match answer_of(call()) {
                Err(Refused::Errno(libc::EINTR)) => {}
                answer => return answer,
            }
        }
    }
}

fn answer_of(wrote: isize) -> std::result::Result<usize, Refused> {
    match usize::try_from(wrote) {
        // A write that takes nothing and reports no error would be retried without end.
        Ok(0) => Err(Refused::Errno(libc::EIO)),
        Ok(taken) => Ok(taken),
        Err(_) if is_would_block(errno()) => Err(Refused::WouldBlock),
        Err(_) => Err(Refused::Errno(errno())),
    }
}

/// Whether a call that is only one of several ways was refused, and not what it was to do.
fn is_refusal(error: i32) -> bool {
    matches!(
        error,
        libc::EPERM
            | libc::EACCES
            | libc::ENOSYS
            | libc::EINVAL
            | libc::EOPNOTSUPP
            | libc::ESPIPE
            | libc::ENOTSOCK
    )
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
    // By its number, because glibc has the function only since 2.26: each argument is a whole register then, and the
    // position two halves.
    let [fd_register, own_position, flags]: [libc::c_long; 3] =
        [fd.into(), -1, libc::RWF_NOWAIT.into()];
    // SAFETY: the one part is readable for its length.
    without_sigpipe(fd, || unsafe {
        let (part, parts) = (&raw const part, 1_usize);
        let (low, high) = (own_position, own_position);
        libc::syscall(libc::SYS_pwritev2, fd_register, part, parts, low, high, flags) as isize
    })
}

#[cfg(not(target_os = "linux"))]
fn write_nowait(_: c_int, _: &[u8]) -> isize {
    set_errno(libc::EOPNOTSUPP);
    -1
}

/// Whether it is the terminal's own end, the one that can be opened again; `device` is the number of
/// what it leads to, 0 if nobody knows.
#[cfg(target_os = "linux")]
fn is_terminal(fd: c_int, device: libc::dev_t) -> bool {
    let (major, minor) = (libc::major(device), libc::minor(device));
    // The other end of a pseudo-terminal: /dev/ptmx, and those of the old kind.
    if (major, minor) == (5, 2) || major == 2 {
        return false;
    }
    let mut number: c_int = 0;
    // SAFETY: they only ask; a number is had from the other end only.
    unsafe {
        if libc::isatty(fd) == 1 {
            return device != 0 || libc::ioctl(fd, libc::TIOCGPTN, &mut number) != 0;
        }
    }
    // Where the question is refused the number says it: consoles, serial lines, pseudo-terminals.
    !matches!(errno(), libc::ENOTTY | libc::EBADF) && matches!(major, 4 | 5 | 136..=143)
}

#[cfg(not(target_os = "linux"))]
fn is_terminal(_: c_int, _: libc::dev_t) -> bool {
    false
}

/// Writes to the same place by an open file of this thread's own, which does not wait.
#[cfg(target_os = "linux")]
fn write_reopened(fd: c_int, data: &[u8]) -> isize {
    let mut path = [0; 32];
    let _ = write!(&mut path[..], "/proc/self/fd/{fd}\0");
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends in a NUL; what is opened here is closed here.
    unsafe {
        let own = libc::open(path.as_ptr().cast(), flags);
        if own < 0 {
            // Whatever the reason is, another way is taken.
            set_errno(libc::EOPNOTSUPP);
            return -1;
        }
        let wrote = without_sigpipe(own, || raw_write(own, data));
        let error = errno();
        libc::close(own);
        set_errno(error);
        wrote
    }
}

#[cfg(not(target_os = "linux"))]
fn write_reopened(_: c_int, _: &[u8]) -> isize {
    set_errno(libc::EOPNOTSUPP);
    -1
}

/// Whether the descriptor may have room, or an error to tell; `None` if the system does not say.
fn has_room(fd: c_int) -> Option<bool> {
    look_at(fd).map(|events| events != 0)
}

/// How long is waited where nobody says when there is room.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until one of the descriptors may have room (or an error to tell), or until `deadline`.
///
/// # Errors
/// `Timeout`.
pub fn wait_for_room(fds: &[Polled], deadline: Deadline) -> Result<()> {
    poll(&mut fds.iter().map(|&fd| polled(fd)).collect::<Vec<_>>(), deadline)
}

fn poll(polled: &mut [libc::pollfd], deadline: Deadline) -> Result<()> {
    loop {
        let ms = deadline.left().map_or(-1, |left| {
            // Rounded up: a wait must not turn into a busy loop in its last millisecond.
            i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        // SAFETY: `polled` is an array of that length.
        let ready = at_rest(|| unsafe {
            libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, ms)
        });
        if ready > 0 {
            return Ok(());
        }
        if ready == 0 && deadline.passed() {
            return Err(Status::Timeout.error());
        }
        if ready < 0 && errno() != libc::EINTR {
            // Poll itself failed: let the write find out what is wrong, or whether there is room.
            crate::sync::sleep(PAUSE.min(deadline.left().unwrap_or(PAUSE)));
            return if deadline.passed() { Err(Status::Timeout.error()) } else { Ok(()) };
        }
    }
}
