//! Whether descriptor 2 is stderr.
//!
//! A program that was started without one may have opened a file that got its number, and so may one that
//! closed it: a database with messages in it is worse than no message. So what was there at the start is noted,
//! and only that is written to, or what a host redirects its messages to: a pipe, a terminal, another device.

#[cfg(target_os = "linux")]
mod at_start {
    use crate::sync::{AtomicU32, AtomicU64, Ordering};

    static DEVICE: AtomicU64 = AtomicU64::new(0);
    static INODE: AtomicU64 = AtomicU64::new(0);
    static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

    const UNKNOWN: u32 = 0;
    const OPEN: u32 = 1;
    const CLOSED: u32 = 2;

    fn look() -> Option<libc::stat> {
        let mut about = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: it fills what it is given, and nothing is taken unless it did.
        unsafe {
            let code = libc::fstat(libc::STDERR_FILENO, about.as_mut_ptr());
            (code == 0).then(|| about.assume_init())
        }
    }

    /// With the image's initializers, before `main` where this is linked into a program.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static NOTE: extern "C" fn() = note;

    extern "C" fn note() {
        let about = look();
        // Relaxed, as everywhere here: it is written before there is another thread.
        if let Some(about) = &about {
            DEVICE.store(about.st_dev, Ordering::Relaxed);
            INODE.store(about.st_ino, Ordering::Relaxed);
        }
        STATE.store(if about.is_some() { OPEN } else { CLOSED }, Ordering::Relaxed);
    }

    pub fn is_stderr() -> bool {
        match STATE.load(Ordering::Relaxed) {
            UNKNOWN => return true,
            CLOSED => return false,
            _ => {}
        }
        look().is_some_and(|now| {
            let same = now.st_dev == DEVICE.load(Ordering::Relaxed)
                && now.st_ino == INODE.load(Ordering::Relaxed);
            same || matches!(now.st_mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFCHR)
        })
    }
}

/// Whether what descriptor 2 is now may get messages. Allocates nothing, and takes no lock.
pub(crate) fn is_stderr() -> bool {
    #[cfg(target_os = "linux")]
    return at_start::is_stderr();
    #[cfg(not(target_os = "linux"))]
    return true;
}

/// Whether somebody may read there what is written.
pub(crate) fn is_terminal() -> bool {
    #[cfg(unix)]
    // SAFETY: it only asks.
    return is_stderr() && unsafe { libc::isatty(libc::STDERR_FILENO) } == 1;
    #[cfg(not(unix))]
    return std::io::IsTerminal::is_terminal(&std::io::stderr());
}
