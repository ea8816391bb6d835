//! What a thread of this process is doing: on Linux, from `/proc`. On Windows, what it is called.
//!
//! Nothing here is certain for longer than a moment; it is for people who want to know why something
//! is waited for.

/// What the thread of this system number is doing: `running`, `asleep in futex`, `in read of descriptor
/// 0 (pipe:[4711])`, `called 'worker'`. `None` if it is gone, or nobody knows.
pub fn of(tid: u32) -> Option<String> {
    system::of(tid)
}

/// Writes `, ` and what the thread of this system number is doing, with nothing allocated and less than
/// [`of`] says; nothing if nobody knows.
pub fn write(tid: u32, out: &mut impl fmt::Write) {
    system::write(tid, out);
}

/// `who`, and what the thread of this system number is doing.
pub fn append(who: String, tid: u32) -> String {
    match of(tid) {
        Some(place) => format!("{who}, {place}"),
        None => who,
    }
}

#[cfg(target_os = "linux")]
pub use system::{Sleep, each_thread, number_at, sleep_of, write_name};

use std::fmt;

#[cfg(target_os = "linux")]
mod system {
    use std::fmt::{self, Write};
    use std::fs;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    pub fn write(tid: u32, out: &mut impl fmt::Write) {
        if let Some(line) = of_task::<256>(tid, "syscall") {
            let _ = say_call(line.as_str(), ", ", false, out);
        }
    }

    /// What a file of a thread's begins with, read with nothing allocated.
    fn of_task<const SIZE: usize>(tid: u32, file: &str) -> Option<Short<SIZE>> {
        // The longest path of this form is shorter.
        let mut path = Short::<64>::default();
        let _ = write!(path, "/proc/self/task/{tid}/{file}");
        let mut text = Short::default();
        text.len = fs::File::open(path.as_str()).ok()?.read(&mut text.bytes).ok()?;
        Some(text)
    }

    /// Writes what the system calls the thread, with nothing allocated.
    pub fn write_name(tid: u32, out: &mut impl fmt::Write) {
        if let Some(name) = of_task::<32>(tid, "comm") {
            let _ = out.write_str(name.as_str().trim_end_matches('\n'));
        }
    }

    /// A sleep in `futex`: on the word at this address, for as long as it has this value.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sleep {
        pub at: usize,
        pub value: u32,
    }

    /// The word that the thread sleeps on. Allocates nothing.
    pub fn sleep_of(tid: u32) -> Option<Sleep> {
        in_sleep(of_task::<256>(tid, "syscall")?.as_str())
    }

    pub(super) fn in_sleep(line: &str) -> Option<Sleep> {
        let mut fields = line.split_whitespace();
        if fields.next()?.parse() != Ok(libc::SYS_futex) {
            return None;
        }
        let mut argument = || usize::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
        let (at, operation, value) = (argument()?, argument()?, argument()?);
        // `FUTEX_LOCK_PI2`, which libc's crate does not know, is 13.
        let sleeps = matches!(
            operation as i32 & libc::FUTEX_CMD_MASK,
            libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET | libc::FUTEX_LOCK_PI | 13
        );
        sleeps.then_some(Sleep { at, value: value as u32 })
    }

    /// Calls `look` with the number of each thread of the process. Allocates nothing.
    pub fn each_thread(mut look: impl FnMut(u32)) {
        // As `getdents64` fills it: a record's length, and its name with a zero behind it.
        const LENGTH_AT: usize = 16;
        const NAME_AT: usize = 19;
        #[repr(align(8))]
        struct Records([u8; 1024]);
        let Ok(tasks) = fs::File::open("/proc/self/task") else { return };
        let mut records = Records([0; 1024]);
        loop {
            // SAFETY: it fills at most as much as there is.
            let filled = unsafe {
                let (at, size) = (records.0.as_mut_ptr(), records.0.len());
                let tasks = libc::c_long::from(tasks.as_raw_fd());
                libc::syscall(libc::SYS_getdents64, tasks, at, size)
            };
            let Some(mut left) = usize::try_from(filled).ok().and_then(|len| records.0.get(..len))
            else {
                return;
            };
            if left.is_empty() {
                return;
            }
            while let Some(&[low, high]) = left.get(LENGTH_AT..LENGTH_AT + 2) {
                let length = usize::from(u16::from_ne_bytes([low, high]));
                let Some(record) = left.get(..length).filter(|record| record.len() > NAME_AT)
                else {
                    return;
                };
                let name = record[NAME_AT..].split(|byte| *byte == 0).next().unwrap_or_default();
                let tid = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                tid.into_iter().for_each(&mut look);
                left = &left[length..];
            }
        }
    }

    /// The number in memory there, which may be nobody's any more.
    pub fn number_at(address: usize) -> Option<u32> {
        let mut number = 0_u32;
        let size = size_of_val(&number);
        let into = libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size };
        let from = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size };
        // SAFETY: the kernel copies, and answers an address without memory with an error.
        let copied = unsafe { libc::process_vm_readv(libc::getpid(), &into, 1, &from, 1, 0) };
        (usize::try_from(copied) == Ok(size)).then_some(number)
    }

    /// A text of fixed size, which cuts off what does not fit.
    struct Short<const SIZE: usize> {
        bytes: [u8; SIZE],
        len: usize,
    }

    impl<const SIZE: usize> Default for Short<SIZE> {
        fn default() -> Short<SIZE> {
            Short { bytes: [0; SIZE], len: 0 }
        }
    }

    impl<const SIZE: usize> Short<SIZE> {
        fn as_str(&self) -> &str {
            std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
        }
    }

    impl<const SIZE: usize> Write for Short<SIZE> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let fits = text.floor_char_boundary(SIZE - self.len);
            self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
            self.len += fits;
            Ok(())
        }
    }

    pub fn of(tid: u32) -> Option<String> {
        if tid == 0 {
            return None;
        }
        let read = |file: &str| fs::read_to_string(format!("/proc/self/task/{tid}/{file}")).ok();
        // The state follows the name, which may contain anything, parentheses too.
        let stat = read("stat")?;
        let state = stat[stat.rfind(')')? + 1..].trim_start().chars().next()?;
        match state {
            'R' => Some("running".to_owned()),
            'T' | 't' => Some("stopped".to_owned()),
            'Z' | 'X' => None,
            _ => Some(read("syscall").and_then(|call| in_call(&call)).unwrap_or_else(|| {
                match read("wchan").as_deref().map(str::trim) {
                    Some(place) if !matches!(place, "" | "0") => format!("asleep in {place}"),
                    _ => "asleep".to_owned(),
                }
            })),
        }
    }

    /// From the system's line about the call: its number, its arguments, two registers.
    pub(super) fn in_call(line: &str) -> Option<String> {
        let mut said = String::new();
        say_call(line, "", true, &mut said)?.ok()?;
        Some(said)
    }

    /// Writes it behind `before`; what a descriptor leads to only if `whole`, for that takes memory.
    fn say_call(
        line: &str,
        before: &str,
        whole: bool,
        out: &mut impl fmt::Write,
    ) -> Option<fmt::Result> {
        let mut fields = line.split_whitespace();
        let number = fields.next()?;
        if number == "running" {
            return Some(write!(out, "{before}{number}"));
        }
        let number = number.parse().ok().filter(|number| *number >= 0)?;
        let Some((name, kind)) = name(number) else {
            return Some(write!(out, "{before}in system call {number}"));
        };
        Some(match kind {
            Kind::Sleep => write!(out, "{before}asleep in {name}"),
            Kind::Other => write!(out, "{before}in {name}"),
            Kind::Descriptor => {
                let first = fields.next().and_then(|arg| arg.strip_prefix("0x"));
                let first = first.and_then(|arg| u64::from_str_radix(arg, 16).ok());
                match first.and_then(|fd| i32::try_from(fd as u32).ok()) {
                    Some(fd) if whole => {
                        write!(out, "{before}in {name} of descriptor {fd}{}", target(fd))
                    }
                    Some(fd) => write!(out, "{before}in {name} of descriptor {fd}"),
                    None => write!(out, "{before}in {name}"),
                }
            }
        })
    }

    fn target(fd: i32) -> String {
        let link = fs::read_link(format!("/proc/self/fd/{fd}"));
        link.map_or_else(|_| String::new(), |to| format!(" ({})", to.to_string_lossy()))
    }

    /// How a system call is spoken of.
    #[derive(Clone, Copy)]
    enum Kind {
        Sleep,
        /// Its first argument is a descriptor.
        Descriptor,
        Other,
    }

    /// The calls that threads are found in.
    fn name(number: libc::c_long) -> Option<(&'static str, Kind)> {
        use Kind::{Descriptor, Other, Sleep};
        Some(match number {
            libc::SYS_futex => ("futex", Sleep),
            libc::SYS_nanosleep | libc::SYS_clock_nanosleep => ("nanosleep", Sleep),
            libc::SYS_rt_sigsuspend => ("sigsuspend", Sleep),
            libc::SYS_rt_sigtimedwait => ("sigtimedwait", Sleep),
            libc::SYS_ppoll => ("poll", Other),
            libc::SYS_pselect6 => ("select", Other),
            libc::SYS_wait4 | libc::SYS_waitid => ("wait", Other),
            libc::SYS_openat => ("open", Other),
            libc::SYS_msync => ("msync", Other),
            libc::SYS_munmap => ("munmap", Other),
            libc::SYS_io_getevents => ("io_getevents", Other),
            libc::SYS_read => ("read", Descriptor),
            libc::SYS_readv => ("readv", Descriptor),
            libc::SYS_pread64 => ("pread", Descriptor),
            libc::SYS_write => ("write", Descriptor),
            libc::SYS_writev => ("writev", Descriptor),
            libc::SYS_pwrite64 => ("pwrite", Descriptor),
            libc::SYS_recvfrom => ("recv", Descriptor),
            libc::SYS_recvmsg => ("recvmsg", Descriptor),
            libc::SYS_sendto => ("send", Descriptor),
            libc::SYS_sendmsg => ("sendmsg", Descriptor),
            libc::SYS_accept | libc::SYS_accept4 => ("accept", Descriptor),
            libc::SYS_connect => ("connect", Descriptor),
            libc::SYS_close => ("close", Descriptor),
            libc::SYS_fsync => ("fsync", Descriptor),
            libc::SYS_fdatasync => ("fdatasync", Descriptor),
            libc::SYS_flock => ("flock", Descriptor),
            libc::SYS_fcntl => ("fcntl", Descriptor),
            libc::SYS_ioctl => ("ioctl", Descriptor),
            libc::SYS_sendfile => ("sendfile", Descriptor),
            libc::SYS_splice => ("splice", Descriptor),
            libc::SYS_epoll_pwait => ("epoll_wait", Descriptor),
            libc::SYS_io_uring_enter => ("io_uring_enter", Descriptor),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => ("poll", Other),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => ("select", Other),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => ("open", Other),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_pause => ("pause", Sleep),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => ("epoll_wait", Descriptor),
            _ => return None,
        })
    }
}

#[cfg(windows)]
mod system {
    pub fn write(_: u32, _: &mut impl std::fmt::Write) {}

    use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, LocalFree, WAIT_TIMEOUT};
    use windows_sys::Win32::System::Threading::{
        GetProcessIdOfThread, GetThreadDescription, OpenThread, THREAD_QUERY_LIMITED_INFORMATION,
        THREAD_SYNCHRONIZE, WaitForSingleObject,
    };

    /// An open thread.
    struct Thread(HANDLE);

    impl Drop for Thread {
        fn drop(&mut self) {
            // SAFETY: opened below, closed once.
            unsafe { CloseHandle(self.0) };
        }
    }

    /// Windows does not say what a thread waits in, but what the thread is called.
    pub fn of(tid: u32) -> Option<String> {
        // SAFETY: an id without a thread gives null.
        let thread = Thread(unsafe {
            let opened = OpenThread(THREAD_QUERY_LIMITED_INFORMATION | THREAD_SYNCHRONIZE, 0, tid);
            if opened.is_null() {
                return None;
            }
            opened
        });
        // SAFETY: it only asks. The number may be another process's thread's by now.
        let lives = unsafe {
            WaitForSingleObject(thread.0, 0) == WAIT_TIMEOUT
                && GetProcessIdOfThread(thread.0) == std::process::id()
        };
        lives.then(|| name(&thread)).flatten().map(|name| format!("called '{name}'"))
    }

    fn name(thread: &Thread) -> Option<String> {
        let mut text = std::ptr::null_mut();
        // SAFETY: on success the text is ours to free, and ends in a zero.
        unsafe {
            if GetThreadDescription(thread.0, &mut text) < 0 || text.is_null() {
                return None;
            }
            let len = (0..).take_while(|&at| *text.add(at) != 0).count();
            let name = String::from_utf16_lossy(std::slice::from_raw_parts(text, len));
            LocalFree(text.cast());
            (!name.is_empty()).then_some(name)
        }
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod system {
    pub fn write(_: u32, _: &mut impl std::fmt::Write) {}

    pub fn of(_: u32) -> Option<String> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_call_is_named_by_its_number_and_first_argument() {
        let line = format!("{} 0x3ff 0x7f 0x1 0x0 0x0 0x0 0x7ffd 0x7f14\n", libc::SYS_read);
        assert_eq!(system::in_call(&line).unwrap(), "in read of descriptor 1023");
        let line = format!("{} 0x7f00 0x80 0x0\n", libc::SYS_futex);
        assert_eq!(system::in_call(&line).unwrap(), "asleep in futex");
        assert_eq!(system::in_call("999 0x0\n").unwrap(), "in system call 999");
        assert_eq!(system::in_call("running\n").unwrap(), "running");
        for unknown in ["-1 0x7ffd 0x7f14\n", "", "?"] {
            assert_eq!(system::in_call(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_thread_that_sleeps_on_a_word_is_found_there_and_one_that_wakes_others_is_not() {
        let in_futex = |operation: i32| {
            let line = format!("{} 0x7f00 {operation:#x} 0x4711 0x0\n", libc::SYS_futex);
            system::in_sleep(&line)
        };
        let sleep = Sleep { at: 0x7f00, value: 0x4711 };
        assert_eq!(in_futex(libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG), Some(sleep));
        assert_eq!(in_futex(libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME), Some(sleep));
        assert_eq!(in_futex(libc::FUTEX_LOCK_PI), Some(sleep));
        assert_eq!(in_futex(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG), None);
        for other in ["running\n", "", "202", "0 0x3 0x7f 0x1\n", "202 0x1 0x0\n"] {
            assert_eq!(system::in_sleep(other), None, "{other}");
        }
    }

    #[test]
    fn each_thread_is_listed_once_and_memory_that_is_not_there_has_no_number() {
        const THREADS: usize = 100; // more than one call of the system's lists
        let barrier = std::sync::Barrier::new(THREADS + 1);
        std::thread::scope(|scope| {
            let (send, tids) = std::sync::mpsc::channel();
            for _ in 0..THREADS {
                let (send, barrier) = (send.clone(), &barrier);
                scope.spawn(move || {
                    send.send(crate::sys::cell::current_tid()).unwrap();
                    barrier.wait();
                });
            }
            let expected: Vec<u32> = tids.iter().take(THREADS).collect();
            let mut listed = Vec::new();
            each_thread(|tid| listed.push(tid));
            barrier.wait();
            for tid in expected {
                assert_eq!(listed.iter().filter(|listed| **listed == tid).count(), 1);
            }
        });
        let number = 4711_u32;
        assert_eq!(number_at(&raw const number as usize), Some(4711));
        assert_eq!(number_at(16), None);
    }

    #[test]
    fn a_thread_that_reads_a_pipe_is_found_in_it_and_one_that_is_gone_nowhere() {
        let (mut out, mut into) = std::io::pipe().unwrap();
        let fd = out.as_raw_fd();
        let (send, tid) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            send.send(crate::sys::cell::current_tid()).unwrap();
            out.read_exact(&mut [0]).unwrap();
        });
        let tid = tid.recv().unwrap();
        let start = format!("in read of descriptor {fd} (pipe:[");
        while !of(tid).unwrap().starts_with(&start) {
            std::thread::yield_now();
        }
        assert!(append("it".to_owned(), tid).starts_with(&format!("it, {start}")));
        into.write_all(b"x").unwrap();
        reader.join().unwrap();
        while of(tid).is_some() {
            std::thread::yield_now();
        }
        assert_eq!(append("it".to_owned(), tid), "it");
        assert_eq!(of(0), None);
    }
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_found_by_its_name_and_one_that_is_gone_nowhere() {
        let (send, tid) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let named = std::thread::Builder::new().name("Prüfer".to_owned());
        let thread = named.spawn(move || {
            send.send(crate::sys::cell::current_tid()).unwrap();
            let _ = wait.recv();
        });
        let tid = tid.recv().unwrap();
        assert_eq!(append("it".to_owned(), tid), "it, called 'Prüfer'");
        drop(go);
        thread.unwrap().join().unwrap();
        while of(tid).is_some() {
            std::thread::yield_now();
        }
        assert_eq!(append("it".to_owned(), tid), "it");
        assert_eq!(of(0), None);
    }
}
