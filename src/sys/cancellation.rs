//! Thread cancellation, held off while the library itself is at work.
//!
//! Our system calls are cancellation points, and a cancellation there would unwind our frames. A
//! [`Shield`] holds it off; inside a callback the host's own setting is back in force, and whatever
//! happens there is stopped in `host_call`.

use super::cell;

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
    outer: u32,
}

/// What the thread's cell keeps of the host's setting; 0 is none.
fn noted(state: i32) -> u32 {
    state.cast_unsigned() + 1
}

impl Shield {
    /// Holds cancellation off.
    pub fn up() -> Shield {
        let before = system::set(system::DISABLED);
        let host = cell::cancel_state();
        let outer = host.get();
        if outer == 0 {
            host.set(noted(before));
        }
        Shield { before, outer }
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        cell::cancel_state().set(self.outer);
        system::set(self.before);
    }
}

/// Lets the host's own setting be in force for a callback; [`restore`] takes what this returns.
pub fn lift() -> u32 {
    let host = cell::cancel_state().replace(0);
    if let Some(state) = host.checked_sub(1) {
        system::set(state.cast_signed());
    }
    host
}

/// Ends what [`lift`] began.
pub fn restore(lifted: u32) {
    if lifted != 0 {
        system::set(system::DISABLED);
        cell::cancel_state().set(lifted);
    }
}
