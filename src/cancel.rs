//! Thread cancellation, held off while the library itself is at work.
//!
//! Our system calls are cancellation points, and a cancellation there would unwind our frames. A
//! [`Shield`] holds it off; inside a callback the host's own setting is back in force, and whatever
//! happens there is stopped in `host_call`.

use std::cell::Cell;

#[cfg(unix)]
mod system {
    unsafe extern "C" {
        fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
    }
    pub const DISABLED: libc::c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    pub fn set(state: libc::c_int) -> libc::c_int {
        let mut before = 0;
        // SAFETY: writes one int.
        unsafe { pthread_setcancelstate(state, &mut before) };
        before
    }
}

#[cfg(not(unix))]
mod system {
    pub const DISABLED: i32 = 1;
    pub fn set(_: i32) -> i32 {
        DISABLED
    }
}

/// While it lives the thread cannot be cancelled.
pub struct Shield {
    before: i32,
    outer: Option<i32>,
}

thread_local! {
    /// The host's own setting, while a shield is up.
    static HOST: Cell<Option<i32>> = const { Cell::new(None) };
}

impl Shield {
    /// Holds cancellation off.
    pub fn up() -> Shield {
        let before = system::set(system::DISABLED);
        let outer = HOST.get();
        if outer.is_none() {
            HOST.set(Some(before));
        }
        Shield { before, outer }
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        HOST.set(self.outer);
        system::set(self.before);
    }
}

/// Lets the host's own setting be in force for a callback; [`restore`] takes what this returns.
pub fn lift() -> Option<i32> {
    let host = HOST.take();
    if let Some(state) = host {
        system::set(state);
    }
    host
}

/// Ends what [`lift`] began.
pub fn restore(lifted: Option<i32>) {
    if lifted.is_some() {
        system::set(system::DISABLED);
        HOST.set(lifted);
    }
}
