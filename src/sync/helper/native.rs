//! The helper on Linux: a thread made without std, and a futex.
//!
//! A thread of std's maps a signal stack, asks where its own stack lies, and frees memory, for which
//! the allocator maps an arena. Here its whole start is its name.

use super::Runs;
use crate::sync::{Arc, AtomicU32, Deadline, Ordering, futex};
use libc::{c_int, c_long, c_void};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};

const QUIET: u32 = 0;
const RUNG: u32 = 1;
const ASLEEP: u32 = 2;

/// What a helper sleeps on.
pub struct Waker(AtomicU32);

impl Waker {
    /// Sleeps until `deadline`, or until it is rung: before, since the last sleep, or meanwhile. May
    /// return for no reason.
    pub fn sleep(&self, deadline: Deadline) {
        // Acquire, twice: what was stored before the ring is seen after the sleep.
        if self.0.swap(ASLEEP, Ordering::Acquire) != RUNG {
            futex::wait(&self.0, ASLEEP, deadline.left());
        }
        self.0.swap(QUIET, Ordering::Acquire);
    }

    fn ring(&self) {
        // Release: pairs with `sleep`.
        if self.0.swap(RUNG, Ordering::Release) == ASLEEP {
            futex::wake(self.0.as_ptr().addr());
        }
    }
}

/// Raised once, for who waits for it.
pub struct Signal(AtomicU32);

impl Signal {
    /// Not raised.
    pub fn new() -> Signal {
        Signal(AtomicU32::new(QUIET))
    }

    /// Ends the wait, and all that follow. May be called anywhere: it takes no lock and allocates nothing.
    pub fn raise(&self) {
        // Release: what was stored before is seen after the wait.
        self.0.store(RUNG, Ordering::Release);
        futex::wake(self.0.as_ptr().addr());
    }

    /// Waits until it is raised, or until `deadline`; one thread at a time. May return for no reason.
    pub fn wait(&self, deadline: Deadline) {
        // Acquire: pairs with `raise`.
        if self.0.load(Ordering::Acquire) == QUIET {
            futex::wait(&self.0, QUIET, deadline.left());
        }
    }
}

impl Default for Signal {
    fn default() -> Signal {
        Signal::new()
    }
}

/// What a helper is given. It only borrows this, and frees nothing.
struct Post<T> {
    waker: Waker,
    name: &'static CStr,
    runs: Runs,
    body: fn(&T, &Waker),
    with: Arc<T>,
}

/// The maker's hold on a helper. Dropped, it leaks the thread: that is what the child of a fork has to
/// do, for which the thread was not copied.
pub struct Helper<T> {
    thread: libc::pthread_t,
    /// Lives until the thread has ended.
    post: NonNull<Post<T>>,
}

// SAFETY: the post is on the heap, and what both sides change there is atomic; who has the handle, on whichever
// thread, is the only one to rouse and dismiss by it.
unsafe impl<T: Send + Sync> Send for Helper<T> {}

impl<T: Send + Sync + 'static> Helper<T> {
    /// A thread of this name that runs `body`; `None` if there is none to be had.
    pub fn start(
        name: &'static CStr,
        runs: Runs,
        with: &Arc<T>,
        body: fn(&T, &Waker),
    ) -> Option<Helper<T>> {
        let waker = Waker(AtomicU32::new(QUIET));
        let post = Box::new(Post { waker, name, runs, body, with: with.clone() });
        let post = NonNull::from(Box::leak(post));
        let arg = post.as_ptr().cast();
        let thread = sealed(|| {
            // The thread-locals of the program may need more than the whole stack.
            create(Some(runs.stack()), stand::<T>, arg).or_else(|| create(None, stand::<T>, arg))
        });
        let Some(thread) = thread else {
            // SAFETY: no thread came to know it.
            drop(unsafe { Box::from_raw(post.as_ptr()) });
            return None;
        };
        Some(Helper { thread, post })
    }

    /// Ends its sleep.
    pub fn rouse(&self) {
        // SAFETY: as `post` says.
        unsafe { self.post.as_ref() }.waker.ring();
    }

    /// Ends its sleep, and waits until it has left.
    pub fn dismiss(self) {
        self.rouse();
        // SAFETY: the thread was made joinable and is joined once, here. The post is freed when it is no
        // longer in use.
        unsafe {
            if libc::pthread_join(self.thread, null_mut()) == 0 {
                drop(Box::from_raw(self.post.as_ptr()));
            }
        }
    }
}

/// Makes a thread that takes no signal, not even at its first instruction: it inherits the mask.
fn sealed<R>(make: impl FnOnce() -> R) -> R {
    let all = crate::sys::signals::all_but_faults();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled, and the one before is read only if it was written.
    unsafe {
        let sealed = libc::pthread_sigmask(libc::SIG_BLOCK, &all, before.as_mut_ptr()) == 0;
        let made = make();
        if sealed {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut());
        }
        made
    }
}

fn create(
    stack: Option<usize>,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
) -> Option<libc::pthread_t> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the attributes are initialised before they are used, and the thread is written if it was
    // made; `start` takes `arg`.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
            return None;
        }
        if let Some(size) = stack {
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), size);
        }
        let made: c_int =
            libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), start, arg);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (made == 0).then(|| thread.assume_init())
    }
}

extern "C" fn stand<T>(post: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes it, and it lives until this thread has ended.
    let post = unsafe { &*post.cast::<Post<T>>() };
    let unused: c_long = 0;
    // SAFETY: reads the name, of which the kernel takes the first 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, post.name.as_ptr(), unused, unused, unused) };
    if post.runs == Runs::HostCode {
        crate::sys::signals::seal_own_thread();
    }
    // What was thrown is not dropped: that could panic again.
    std::mem::forget(catch_unwind(AssertUnwindSafe(|| (post.body)(&post.with, &post.waker))));
    null_mut()
}
