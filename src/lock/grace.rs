//! The time a finalizing runtime gives to owners that might still let go.
//!
//! One grace is shared by everything the finalizing thread waits for on the way out: each wait is
//! billed, and when the grace is spent the rest are looked at once and skipped. (Giving every flush
//! a second of its own is how an exit with four stuck files takes four.) Other threads that meet a
//! held lock while finalizing get one grace a wait.

use crate::sync::{Arc, AtomicI64, Deadline, Ordering, elapsed, now};
use std::time::Instant;

/// The default grace: one second, CPython's own patience with a held buffer.
pub const DEFAULT_GRACE_US: i64 = 1_000_000;

/// What is left of a runtime's grace.
pub struct Grace {
    full_us: AtomicI64,
    left_us: AtomicI64,
}

impl Grace {
    /// A grace of `us` microseconds.
    pub fn new(us: i64) -> Grace {
        Grace { full_us: AtomicI64::new(us), left_us: AtomicI64::new(us) }
    }

    /// Starts afresh with `us` microseconds.
    pub fn refill(&self, us: i64) {
        // Relaxed, as everywhere here: the numbers order nothing.
        self.full_us.store(us, Ordering::Relaxed);
        self.left_us.store(us, Ordering::Relaxed);
    }

    /// What is left for the finalizing thread, in microseconds.
    pub fn left_us(&self) -> i64 {
        self.left_us.load(Ordering::Relaxed).max(0)
    }

    /// Takes off what was spent elsewhere on its account.
    pub fn spend(&self, us: i64) {
        self.left_us.fetch_sub(us.max(0), Ordering::Relaxed);
    }

    /// A wait of the finalizing thread, billed when it ends, of at most `share` of what is left.
    pub fn shared(self: &Arc<Grace>, share: f64) -> GraceSpan {
        let us = (self.left_us() as f64 * share) as i64;
        GraceSpan { deadline: Deadline::after_us(us), bill: Some((self.clone(), now())) }
    }

    /// A wait of any other thread.
    pub fn own(&self) -> GraceSpan {
        let us = self.full_us.load(Ordering::Relaxed).max(0);
        GraceSpan { deadline: Deadline::after_us(us), bill: None }
    }
}

/// One wait on the grace.
pub struct GraceSpan {
    /// When the wait must end.
    pub deadline: Deadline,
    bill: Option<(Arc<Grace>, Instant)>,
}

impl GraceSpan {
    /// A wait until `deadline` that nobody is billed for.
    pub fn until(deadline: Deadline) -> GraceSpan {
        GraceSpan { deadline, bill: None }
    }
}

impl Drop for GraceSpan {
    fn drop(&mut self) {
        if let Some((grace, since)) = &self.bill {
            let spent = i64::try_from(elapsed(*since).as_micros()).unwrap_or(i64::MAX);
            grace.left_us.fetch_sub(spent, Ordering::Relaxed);
        }
    }
}
