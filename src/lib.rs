//! rtfinalize shuts a language runtime down inside a process that still has threads, locks, buffered
//! output and in-flight I/O. It does the work of CPython's `Py_FinalizeEx`: bounded, exact about every
//! byte, never a crash, and always able to say why.
//!
//! # The map
//!
//! Each layer imports only from those below it.
//!
//! | layer | what is in it |
//! |---|---|
//! | [`capi`] | the C ABI, a file an object |
//! | [`finalize`] | the order of a finalization: phases, passes, flush, and the watchdog that bounds it |
//! | `exit` | the end of the process: at the hard deadline, in the child of a `fork`, as the library is loaded |
//! | [`runtime`] | a runtime, what is registered with it (threads, guards, writers, operations, objects), and its states |
//! | [`report`] | what was done, kept and lost, as text, JSON, trace and HTML page |
//! | [`phase`] | the phases |
//! | [`io`] | where bytes go: descriptors, Windows' handles, functions of the host's |
//! | `lock` | locks whose owner may never give them back |
//! | [`thread`] | the record of each thread, the calling thread, calls into the host |
//! | `sys` | what the operating system is asked |
//! | `sync` | atomics, mutexes, parking and time |
//! | [`status`], `text` | what calls answer; text of a fixed size |
//!
//! CPython's finalization by this library is below `cpython`, in C: begin with `adapter.h`.
//!
//! # As a crate
//!
//! ```
//! use rtfinalize::{finalize::finalize, runtime::Runtime, thread::host_call::HostCall};
//!
//! let runtime = Runtime::new("example");
//! runtime.at_exit("say goodbye", HostCall::from_closure(|| 0))?;
//! let report = finalize(&runtime)?.report().clone();
//! assert_eq!(report.status, rtfinalize::status::Status::Ok);
//! # Ok::<(), rtfinalize::status::Error>(())
//! ```

#[cfg(not(loom))]
pub mod capi;
#[cfg(not(loom))]
mod exit;
#[cfg(not(loom))]
pub mod finalize;
#[cfg(not(loom))]
pub mod io;
#[cfg(not(loom))]
mod lock;
#[cfg(loom)]
pub mod lock;
#[cfg(doctest)]
mod must_not_compile;
#[cfg(not(loom))]
pub mod phase;
#[cfg(not(loom))]
pub mod report;
#[cfg(not(loom))]
pub mod runtime;
/// What a model checker looks at.
#[cfg(loom)]
pub mod runtime {
    pub mod guards;
    pub mod lifecycle;
}
pub mod status;
#[cfg(not(loom))]
mod sync;
#[cfg(loom)]
pub mod sync;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
mod text;
#[cfg(not(loom))]
pub mod thread;
/// What a model checker looks at.
#[cfg(loom)]
pub mod thread {
    pub mod record;
}

#[cfg(not(loom))]
pub use sync::Deadline;
