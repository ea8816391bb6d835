//! The helper where there is no futex: a thread of std's that parks.

use super::Runs;
use crate::sync::{Arc, AtomicBool, Deadline, Ordering};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::thread::JoinHandle;
use std::time::Duration;

/// What a helper sleeps on: here its own thread.
pub struct Waker(());

impl Waker {
    /// Sleeps until `deadline`, or until it is rung: before, since the last sleep, or meanwhile. May
    /// return for no reason.
    pub fn sleep(&self, deadline: Deadline) {
        match deadline.left() {
            Some(left) => std::thread::park_timeout(left),
            None => std::thread::park(),
        }
    }
}

/// Raised once, for who waits for it.
#[derive(Default)]
pub struct Signal(AtomicBool);

impl Signal {
    /// Not raised.
    pub fn new() -> Signal {
        Signal::default()
    }

    /// Ends the wait, and all that follow. May be called anywhere: it takes no lock and allocates nothing.
    pub fn raise(&self) {
        // Release: what was stored before is seen after the wait.
        self.0.store(true, Ordering::Release);
    }

    /// Waits until it is raised, or until `deadline`, or for a moment.
    pub fn wait(&self, deadline: Deadline) {
        const MOMENT: Duration = Duration::from_millis(50);
        // Acquire: pairs with `raise`.
        if !self.0.load(Ordering::Acquire) {
            crate::sync::sleep(deadline.left().map_or(MOMENT, |left| left.min(MOMENT)));
        }
    }
}

/// The maker's hold on a helper.
pub struct Helper<T> {
    thread: JoinHandle<()>,
    with: PhantomData<Arc<T>>,
}

impl<T: Send + Sync + 'static> Helper<T> {
    /// A thread of this name that runs `body`; `None` if there is none to be had.
    pub fn start(
        name: &'static CStr,
        runs: Runs,
        with: &Arc<T>,
        body: fn(&T, &Waker),
    ) -> Option<Helper<T>> {
        // Its stack is not all that it takes, and it must not take the last: a thread that begins and finds
        // no memory for its thread-locals may end with the loader's lock.
        crate::sys::memory::spare_for_thread(2 * runs.stack()).ok()?;
        let with = with.clone();
        let builder = std::thread::Builder::new().name(name.to_string_lossy().into_owned());
        let thread = builder.stack_size(runs.stack()).spawn(move || {
            crate::sys::signals::seal_own_thread();
            // What it may come to write to is a descriptor of the C runtime's.
            #[cfg(windows)]
            crate::sys::c_runtime::meet_thread();
            body(&with, &Waker(()));
        });
        Some(Helper { thread: thread.ok()?, with: PhantomData })
    }

    /// Ends its sleep.
    pub fn rouse(&self) {
        self.thread.thread().unpark();
    }

    /// Ends its sleep, and waits until it has left.
    ///
    /// On Windows a moment: no thread begins or ends while another has the loader's lock, and that may last.
    /// One that has not begun leaves when it does; what it looks at is its own as well.
    pub fn dismiss(self) {
        self.rouse();
        #[cfg(windows)]
        {
            let deadline = crate::sync::Deadline::after(std::time::Duration::from_secs(1));
            while !crate::sys::thread_exit::ends_within_ms(&self.thread, 10)
                && !self.thread.is_finished()
                && !deadline.passed()
            {}
        }
        // A panic has ended the helper only.
        #[cfg(not(windows))]
        let _ = self.thread.join();
    }
}
