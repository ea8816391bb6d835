//! The C runtime of Windows, and what it keeps for a thread.

/// Has the runtime take the memory it wants for the calling thread, which it does at the first call of
/// most of its functions: later there may be none, or somebody stuck in the heap.
pub fn meet_thread() {
    unsafe extern "C" {
        fn _errno() -> *mut libc::c_int;
    }
    // SAFETY: no arguments; the answer is this thread's own.
    unsafe { _errno() };
}
