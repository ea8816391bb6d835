//! The types every file of the C ABI shares.

use libc::{c_int, c_void};

/// The answer of a call: 0 is success, positive a success worth knowing, negative an error.
pub type rt_status = i32;

/// What a host registers to be called: `arg` is what it registered with it. A negative answer counts
/// as a failure, which is reported; any other is success.
///
/// It is called with no lock of the library held. It may call any function of the library, but not
/// finalize its own runtime or an ancestor of that (see `rt_finalize`); the `dealloc` of a tracked object
/// may call less (`RT_ERR_IN_DEALLOC`). It may end its thread: the library finishes its work and then
/// the thread ends (on Windows it ends at once). It must not throw a C++ exception, nor on Windows any
/// other (the process ends with a message), nor `longjmp` out; and it returns on the thread it was called on,
/// whatever fibers do.
///
/// A plug-in unregisters its callbacks before it is unloaded, in its destructor at the latest
/// (`rt_unregister`, `rt_atexit_unregister`, `rt_object_untrack`, `rt_writer_close`). One that it
/// left behind is not called, on Linux with glibc 2.35 or later and on Windows: before each call the
/// library asks whether its code is still there, and one whose code is gone counts as a failure,
/// `not called: its code was unloaded (dlclose)`, or `(FreeLibrary)`. Of a tracked object then neither
/// callback is called; an operation is leaked; a writer keeps its bytes. Code that was made at run time is
/// looked up in `/proc/self/maps`, and is not called where that cannot be read. Another library that was
/// loaded at the same address cannot be distinguished from the plug-in, and code that is unloaded during
/// the call is not safe.
pub type rt_callback = Option<unsafe extern "C-unwind" fn(arg: *mut c_void) -> c_int>;
