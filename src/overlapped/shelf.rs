//! Where leaked operations stay.
//!
//! A leak on purpose is not a leak by accident, and a leak checker should be able to tell: what is on
//! the shelf is reachable until the process ends. Nothing is ever taken off: when the kernel is done
//! with an operation nobody may be left to ask.

use super::provider::Provider;
use crate::sync::{Arc, Mutex};

static SHELF: Mutex<Vec<Arc<dyn Provider>>> = Mutex::new(Vec::new());

/// Keeps an operation's memory for ever.
pub(super) fn keep(provider: Arc<dyn Provider>) {
    let mut shelf = SHELF.lock();
    if shelf.try_reserve(1).is_ok() {
        shelf.push(provider);
    } else {
        // Unreachable, but not freed: that is what counts.
        std::mem::forget(provider);
    }
}
