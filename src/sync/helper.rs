//! A thread that stands beside the one that made it: it sleeps, looks, and leaves when it is told to.
//!
//! Most are sent away a moment after they came, with nothing done. So on Linux one is made as cheaply
//! as a thread can be, and it shares nothing with the process it stands in: until it runs code of the
//! host's it takes no signal and uses neither the heap nor a thread-local, and what it sleeps on, its
//! [`Waker`], nobody else can hold. Elsewhere it is a thread of std's.

// There a time for the kernel is what libc says it is, and `futex` takes that.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod native;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use native::{Helper, Signal, Waker};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod portable;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub use portable::{Helper, Signal, Waker};

use super::{Deadline, sleep};
use std::time::Duration;

/// What a helper may come to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Code of the library's, which allocates nothing.
    OwnCode,
    /// Code of the host's too.
    HostCode,
}

impl Runs {
    /// How large its stack is, of which only what is used is ever memory. On Linux the thread-locals of
    /// the program and its libraries lie on it too.
    const fn stack(self) -> usize {
        match self {
            Runs::OwnCode => 128 * 1024,
            Runs::HostCode => 1024 * 1024,
        }
    }
}

/// How long threads may take to begin: on Windows none does while another has the loader's lock.
pub const BEGIN: Duration = Duration::from_secs(1);

/// Waits until `begun`, or `deadline`.
pub fn wait_until(deadline: Deadline, begun: impl Fn() -> bool) {
    while !begun() && !deadline.passed() {
        sleep(Duration::from_micros(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicU32, Ordering};

    #[derive(Default)]
    struct Seen {
        rings: AtomicU32,
        over: AtomicU32,
    }

    fn count(seen: &Seen, waker: &Waker) {
        while seen.over.load(Ordering::SeqCst) == 0 {
            waker.sleep(Deadline::NEVER);
            seen.rings.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn dismiss(helper: Helper<Seen>, seen: &Seen) {
        seen.over.store(1, Ordering::SeqCst);
        helper.dismiss();
    }

    #[test]
    fn a_helper_that_sleeps_without_limit_hears_every_ring_that_follows_its_answer() {
        let seen = Arc::new(Seen::default());
        let helper = Helper::start(c"counts", Runs::OwnCode, &seen, count).unwrap();
        for heard in 0..1000 {
            helper.rouse();
            while seen.rings.load(Ordering::SeqCst) <= heard {
                std::thread::yield_now();
            }
        }
        dismiss(helper, &seen);
    }

    #[test]
    fn a_helper_sent_away_at_once_leaves_and_gives_back_what_it_was_made_with() {
        let seen = Arc::new(Seen::default());
        for _ in 0..200 {
            seen.over.store(0, Ordering::SeqCst);
            let helper = Helper::start(c"leaves", Runs::HostCode, &seen, count).unwrap();
            dismiss(helper, &seen);
        }
        assert_eq!(Arc::strong_count(&seen), 1);
    }

    #[test]
    fn a_sleep_ends_at_its_deadline() {
        fn sleep_a_little(seen: &Seen, waker: &Waker) {
            let deadline = Deadline::after_us(2000);
            while !deadline.passed() {
                waker.sleep(deadline);
            }
            waker.sleep(Deadline::after_us(0));
            seen.over.store(1, Ordering::SeqCst);
        }
        let seen = Arc::new(Seen::default());
        let helper = Helper::start(c"sleeps", Runs::OwnCode, &seen, sleep_a_little).unwrap();
        while seen.over.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        helper.dismiss();
    }

    #[test]
    fn a_panic_ends_the_helper_and_nothing_else() {
        let seen = Arc::new(Seen::default());
        let start = Helper::start(c"panics", Runs::OwnCode, &seen, |_, _| panic!("as asked"));
        start.unwrap().dismiss();
        // On Windows a thread may take longer to tell of its panic than it is waited for.
        while cfg!(windows) && Arc::strong_count(&seen) > 1 {
            std::thread::yield_now();
        }
        assert_eq!(Arc::strong_count(&seen), 1);
    }
}
