//! How the library hears that a thread ends.
//!
//! By a POSIX thread-specific key, which also works for threads Rust never heard of, late in teardown
//! and in static destructors. On Windows by the loader, which tells every image of each thread that
//! ends (`sys/cell.c`): those that depend on this library hear of it before, and may still release
//! locks and detach. (A fiber-local callback would come before all of them, and with every fiber.)

#[cfg(unix)]
pub(super) use unix::{prepare, watch};
#[cfg(windows)]
pub(crate) use windows::stay_loaded;
#[cfg(windows)]
pub(super) use windows::watch;

#[cfg(unix)]
mod unix {
    use super::super::{Block, ended};
    use crate::sync::{AtomicUsize, Ordering};
    use crate::sys::cell::cell;
    use std::sync::OnceLock;

    unsafe extern "C" {
        fn rtfinalize_stay_loaded();
    }

    /// The key of the exit hook plus one; 0 without one.
    static EXIT_KEY: AtomicUsize = AtomicUsize::new(0);

    /// Makes the key, once. The hook is code of this image, which therefore stays loaded from here on,
    /// whatever it is linked into.
    pub fn prepare() {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            let mut key = 0;
            // SAFETY: `key` is written before it is read; the hook is a function of this image, which is
            // never unloaded.
            unsafe {
                rtfinalize_stay_loaded();
                if libc::pthread_key_create(&mut key, Some(thread_exits)) == 0 {
                    // Relaxed, here and below: the key orders nothing.
                    EXIT_KEY.store(key as usize + 1, Ordering::Relaxed);
                }
            }
        });
    }

    fn set(block: *const libc::c_void) -> bool {
        let key = EXIT_KEY.load(Ordering::Relaxed);
        // SAFETY: the key exists; the value is what the hook expects.
        key != 0
            && unsafe { libc::pthread_setspecific((key - 1) as libc::pthread_key_t, block) == 0 }
    }

    /// Asks to be told when this thread ends. (glibc takes memory for that from the heap if 32 keys are older
    /// than this library's.)
    pub fn watch(block: &'static Block) -> bool {
        set(std::ptr::from_ref(block).cast())
    }

    /// Runs as the thread ends.
    ///
    /// Other libraries' exit hooks may still release locks and detach, and the order among hooks is
    /// not ours. So the first call only asks for another round; by then all of theirs have run once.
    unsafe extern "C" fn thread_exits(block: *mut libc::c_void) {
        let cell = cell();
        cell.exiting.set(cell.exiting.get() + 1);
        if cell.exiting.get() == 1 && set(block) {
            return;
        }
        // SAFETY: `watch` gave the block, which is in a row and never freed.
        ended(unsafe { &*block.cast::<Block>() });
    }
}

#[cfg(windows)]
mod windows {
    use super::super::{Block, ended};
    use crate::sync::{AtomicBool, Ordering};
    use crate::sys::cell::cell;
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    };

    unsafe extern "C" {
        fn rtfinalize_at_thread_end(hook: extern "C" fn());
    }

    /// Sees to it that the library stays to be told when this thread ends.
    pub fn watch(_: &'static Block) -> bool {
        stay_loaded();
        true
    }

    /// This image stays, and hears of every thread that ends. Called while it is loaded: later the loader
    /// might keep the caller waiting.
    pub fn stay_loaded() {
        static PINNED: AtomicBool = AtomicBool::new(false);
        // Acquire: the hook is set. Nobody waits for another who is at it, and may wait for the loader: it
        // may be done twice.
        if PINNED.load(Ordering::Acquire) {
            return;
        }
        let flags = GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
        let here = thread_ends as *const () as *const u16;
        // SAFETY: the address is in this image; the handle is written and not used.
        unsafe {
            GetModuleHandleExW(flags, here, &mut std::ptr::null_mut());
            rtfinalize_at_thread_end(thread_ends);
        }
        PINNED.store(true, Ordering::Release);
    }

    /// Called by the loader's hook in `sys/cell.c`, on the thread that ends.
    extern "C" fn thread_ends() {
        let block = cell().block.get().cast::<Block>();
        if !block.is_null() {
            // SAFETY: `introduce` set it to a place of a row, which is never freed.
            ended(unsafe { &*block });
        }
    }
}
