//! What is done while Windows loads this image, and has its loader's lock for that.
//!
//! To look a function up and to keep a library loaded may wait for that lock. Done at the first need it would
//! make this library's callers wait, and with one of its own locks held: for a thread that is in some
//! `DllMain`, and calls this library from there, for ever.

use crate::sync::{self, fence};
use crate::this_thread;

/// With the C runtime's own initializers; before `main` where this is linked into a program.
#[used]
#[unsafe(link_section = ".CRT$XCU")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    fence::prepare();
    sync::prepare_parking();
    this_thread::stay_loaded();
}
