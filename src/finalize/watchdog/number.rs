//! How many threads watch, for a host that counts the threads of its process.

use crate::sync::{AtomicU32, Ordering};

static NUMBER: AtomicU32 = AtomicU32::new(0);

// Relaxed, all: a number, from which nothing else follows.

pub(super) fn begun(number: usize) {
    NUMBER.fetch_add(number as u32, Ordering::Relaxed);
}

pub(super) fn ended(number: usize) {
    NUMBER.fetch_sub(number as u32, Ordering::Relaxed);
}

/// How many there are now.
pub(crate) fn now() -> u32 {
    NUMBER.load(Ordering::Relaxed)
}
