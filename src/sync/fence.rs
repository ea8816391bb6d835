//! The asymmetric fence: two threads that each store and then read what the other stored, where one
//! side does it all the time and the other hardly ever.
//!
//! ```text
//!   often:  mine = 1      (Relaxed)        seldom:  theirs = 1   (Relaxed)
//!           light()                                 heavy()
//!           theirs?                                 mine?
//! ```
//!
//! At least one of the two sees the other's store, as with a `SeqCst` fence on both sides. Here the
//! light side only keeps the compiler from reordering, and the heavy side makes the kernel execute a
//! full fence on every processor that runs a thread of this process. Where the kernel cannot, both
//! sides are full fences. Likewise, whoever is not interrupted by `heavy` is ordered wholly before or
//! after it: no store and read of one light side can lie across it in the wrong order.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// Whether the kernel does our fences. Set before any object the light side could reach is made.
static BY_KERNEL: AtomicBool = AtomicBool::new(false);

/// Finds out what the kernel can. To be called before the first [`light`] that counts.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| BY_KERNEL.store(kernel::register(), Ordering::Relaxed));
}

/// The side that pays nothing.
#[inline]
pub fn light() {
    // Relaxed: it was set before the caller came to know the object this is about.
    if BY_KERNEL.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The side that pays for both.
pub fn heavy() {
    fence(Ordering::SeqCst);
    // The registration does not survive everything (a fork, on old kernels): then once more.
    if BY_KERNEL.load(Ordering::Relaxed)
        && !kernel::fence()
        && !(kernel::register() && kernel::fence())
    {
        withdrawn();
    }
}

/// The kernel refuses what it granted before: a sandbox was shut meanwhile. From here on light sides are
/// full fences. One that was under way is ordered by running on every processor in turn: its thread was
/// switched out there, which is a full fence, or it had moved, which is one as well.
///
/// Where the kernel refuses that too, nothing that is certain is left; then this waits for a time in which
/// every processor has written its stores many times over.
#[cold]
fn withdrawn() {
    const DRAINED: std::time::Duration = std::time::Duration::from_millis(10);
    BY_KERNEL.store(false, Ordering::SeqCst);
    if !kernel::run_everywhere() {
        super::sleep(DRAINED);
    }
    fence(Ordering::SeqCst);
}

/// Full: two threads that each store, pass it, and then read what the other stored cannot both miss it.
#[inline]
pub fn full() {
    fence(Ordering::SeqCst);
}

/// What this thread stored before is stored when a signal handler runs on it after.
#[inline]
pub fn signal() {
    compiler_fence(Ordering::SeqCst);
}

/// What this thread read is read before what it reads or writes next.
#[inline]
pub fn acquire() {
    fence(Ordering::Acquire);
}

/// What this thread read and wrote is done before what it writes next.
#[inline]
pub fn release() {
    fence(Ordering::Release);
}

#[cfg(target_os = "linux")]
mod kernel {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: touches no memory of ours; an unknown command or call is refused.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED)
    }

    pub fn fence() -> bool {
        membarrier(PRIVATE_EXPEDITED)
    }

    /// Runs the calling thread on each processor of the process for a moment. False if it may not.
    pub fn run_everywhere() -> bool {
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: all zeroes is an empty set; the calls read or fill sets of the size that they are given.
        unsafe {
            let mut before: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size, &mut before) != 0 {
                return false;
            }
            let mut ran = false;
            for processor in 0..8 * size {
                let mut only: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(processor, &mut only);
                // It fails for processors that there are not, or that the process may not use.
                ran |= libc::sched_setaffinity(0, size, &only) == 0;
            }
            ran && libc::sched_setaffinity(0, size, &before) == 0
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn a_thread_that_ran_everywhere_may_run_where_it_could_before() {
            let allowed = || std::thread::available_parallelism().unwrap();
            let before = allowed();
            assert!(super::run_everywhere());
            assert_eq!(allowed(), before);
        }
    }
}

#[cfg(windows)]
mod kernel {
    use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
    use windows_sys::Win32::System::Threading::FlushProcessWriteBuffers;

    /// Wine may have the function and do nothing in it.
    pub fn register() -> bool {
        // SAFETY: both names are C strings; ntdll is in every process.
        unsafe {
            let ntdll = GetModuleHandleW(windows_sys::w!("ntdll.dll"));
            GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()).is_none()
        }
    }

    pub fn fence() -> bool {
        // SAFETY: touches no memory of ours.
        unsafe { FlushProcessWriteBuffers() };
        true
    }

    pub fn run_everywhere() -> bool {
        false
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod kernel {
    pub fn register() -> bool {
        false
    }

    pub fn fence() -> bool {
        false
    }

    pub fn run_everywhere() -> bool {
        false
    }
}
