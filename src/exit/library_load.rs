//! What is done while the system loads this image.
//!
//! Looking a function up, keeping a library loaded and making a key of thread-local storage may wait for the
//! loader's lock, and take memory from the heap. Done at the first need that would happen below this
//! library's callers: for a thread that is in some `DllMain`, and calls this library from there, the wait
//! would never end; and a signal handler that makes a thread's first call may have interrupted the heap.

use crate::thread::this_thread;

/// Before `main` where this is linked into a program. On Windows it is among the C runtime's own
/// initializers.
#[used]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(any(windows, target_vendor = "apple")), unsafe(link_section = ".init_array"))]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    #[cfg(windows)]
    crate::sync::prepare_parking();
    this_thread::prepare();
    #[cfg(windows)]
    this_thread::stay_loaded();
    #[cfg(windows)]
    crate::sys::process_end::end_by(super::hard_exit::end_killed_process);
}
