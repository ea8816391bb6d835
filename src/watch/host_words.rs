//! What a host adds to a line about its callbacks: where in its own code the finalizing thread is.

use crate::runtime::Runtime;
use crate::sync::{AtomicUsize, Ordering};
use std::fmt;

/// Writes at most so many bytes of text, and answers how many. It runs on the watch thread, beside the finalizing
/// one, with neither heap nor thread-locals.
pub(crate) type Describe = extern "C" fn(text: *mut u8, size: usize) -> usize;

/// A [`Describe`], or 0.
static DESCRIBE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn set(describe: Option<Describe>) {
    // Release: what the function reads was written before.
    DESCRIBE.store(describe.map_or(0, |describe| describe as usize), Ordering::Release);
}

/// Writes it, after a comma, for the default runtime.
pub(super) fn write(runtime: &Runtime, out: &mut impl fmt::Write) {
    const SIZE: usize = 320;
    let describe = DESCRIBE.load(Ordering::Acquire);
    if describe == 0 || runtime.id() != 0 {
        return;
    }
    // SAFETY: what is stored is 0 or came from a `Describe`.
    let describe = unsafe { std::mem::transmute::<usize, Describe>(describe) };
    let mut text = [0; SIZE];
    let len = describe(text.as_mut_ptr(), SIZE).min(SIZE);
    let text = &text[..len];
    let valid = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
    };
    if !valid.is_empty() {
        // It never fails.
        let _ = write!(out, ", {valid}");
    }
}
