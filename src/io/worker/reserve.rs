//! Hands that stay for as long as a finalization lasts.

use super::{IDLE, KEPT, LEAVING, ROW, TAKEN, set};
use crate::sync::helper::{BEGIN, wait_until};
use crate::sync::{AtomicU32, Deadline, Ordering};

/// How many finalizations want hands to stay.
pub(super) static WANTED: AtomicU32 = AtomicU32::new(0);

/// While it lives, hands that have nothing to do stay.
pub(crate) struct Wanted(());

impl Wanted {
    pub(crate) fn new() -> Wanted {
        // SeqCst: see `Hand::rest`.
        WANTED.fetch_add(1, Ordering::SeqCst);
        Wanted(())
    }

    /// Makes `count` of those for the watch and the last word, as far as there are threads to be had.
    pub(crate) fn keep(&self, count: usize) {
        let deadline = Deadline::after(BEGIN);
        for hand in &ROW[..count.min(KEPT)] {
            // The one of a finalization before may be on its way out still.
            wait_until(deadline, || hand.state.load(Ordering::SeqCst) != LEAVING);
            if hand.start() {
                // A thread that begins may use the heap, which the finalizing thread may come to be stuck
                // in. (Should another keep every thread from beginning, this one goes on.)
                wait_until(deadline, || !hand.thread.load(Ordering::Relaxed).is_null());
                hand.pass(TAKEN, IDLE);
            }
            if deadline.passed() {
                return;
            }
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        // SeqCst: see `Hand::rest`.
        if WANTED.fetch_sub(1, Ordering::SeqCst) == 1 {
            for hand in &ROW {
                if hand.state.load(Ordering::SeqCst) == IDLE {
                    set(&hand.asked);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Hand, NONE};
    use super::*;
    use crate::sync::sleep;
    use std::time::Duration;

    fn state(hand: &Hand) -> u32 {
        hand.state.load(Ordering::SeqCst)
    }

    #[test]
    fn hands_that_nobody_wants_leave() {
        let wanted = Wanted::new();
        wanted.keep(1);
        assert_ne!(state(&ROW[0]), NONE);
        drop(wanted);
        // Other tests' finalizations want them, too, for a while.
        while state(&ROW[0]) != NONE {
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_that_is_leaving_is_made_anew() {
        let hand = &ROW[KEPT - 1];
        while !hand.pass(NONE, LEAVING) {
            std::thread::yield_now();
        }
        let leaves = std::thread::spawn(|| {
            sleep(Duration::from_millis(5));
            hand.state.store(NONE, Ordering::SeqCst);
        });
        let wanted = Wanted::new();
        wanted.keep(KEPT);
        assert!(!matches!(state(hand), NONE | LEAVING));
        leaves.join().unwrap();
        drop(wanted);
    }
}
