//! rtfinalize shuts a language runtime down inside a process that still has threads, locks, buffered
//! output and in-flight I/O. It does the work of CPython's `Py_FinalizeEx`: bounded, exact about every
//! byte, never a crash, and always able to say why.
//!
//! # The map
//!
//! | to find | read |
//! |---|---|
//! | what happens, in which order | [`finalize`], `passes`, `unpin`, `flush`, [`phase`], `order`, `continued`, `reclaim`, `watch` |
//! | what the host hears meanwhile, and the end of a process out of time | [`event`], `last_word` |
//! | a runtime's life, its books, the registry of all | [`runtime`], `books`, `registry` |
//! | what a host, or the environment, can set | [`options`], `environment` |
//! | runtimes in a tree | `children` |
//! | the child of a `fork`, a process of which one thread is left | `forked`, `process_end` |
//! | what is asked for as the library is loaded | `at_load` |
//! | how threads are stopped | `freeze` (the gate), [`thread`] (policies) |
//! | what keeps a life from its freeze | `guard` (the exchange), `rack`, `view`, `row` |
//! | who owns a lock, and whether it ever lets go | `owner`, `this_thread` |
//! | the lock, its data, its patience | `buffered_lock`, `guarded`, `grace` |
//! | the writer and where its bytes go | [`writer`], [`sink`] |
//! | the end of a process that cannot wait | `last_word`, `occupancy` |
//! | in-flight operations | `overlapped` |
//! | objects: finalized first, deallocated later | `tracked` |
//! | callbacks: the stack they wait on, the call itself, what they wait for inside it | `at_exit`, [`host_call`], `awaited`, `unloaded`, `cancel` |
//! | what was kept, and the account of it all | [`ledger`], [`report`] |
//! | what a tracer sees from outside | `probe` |
//! | what calls answer, and when memory is short | [`status`], `memory` |
//! | atomics, parking and time: the only door | `sync` |
//! | what a host adds to the account, and the C side, a file an object | `capi` |
//! | CPython's finalization by this library | `src/cpython/adapter.h`, in C |
//!
//! # As a crate
//!
//! ```
//! use rtfinalize::{finalize::finalize, host_call::HostCall, runtime::Runtime};
//!
//! let runtime = Runtime::new("example");
//! runtime.at_exit("say goodbye", HostCall::from_closure(|| 0))?;
//! let report = finalize(&runtime)?.report().clone();
//! assert_eq!(report.status, rtfinalize::status::Status::Ok);
//! # Ok::<(), rtfinalize::status::Error>(())
//! ```

#[cfg(not(loom))]
mod buffered_lock;
#[cfg(loom)]
pub mod buffered_lock;
#[cfg(not(loom))]
mod freeze;
#[cfg(loom)]
pub mod freeze;
#[cfg(not(loom))]
mod grace;
#[cfg(loom)]
pub mod grace;
#[cfg(not(loom))]
mod guard;
#[cfg(loom)]
pub mod guard;
#[cfg(not(loom))]
mod occupancy;
#[cfg(loom)]
pub mod occupancy;
#[cfg(not(loom))]
mod owner;
#[cfg(loom)]
pub mod owner;
pub mod status;
#[cfg(not(loom))]
mod sync;
#[cfg(loom)]
pub mod sync;

#[cfg(not(loom))]
mod at_exit;
#[cfg(not(loom))]
mod at_load;
#[cfg(not(loom))]
mod awaited;
#[cfg(not(loom))]
mod books;
#[cfg(not(loom))]
mod cancel;
#[cfg(not(loom))]
pub mod capi;
#[cfg(not(loom))]
mod children;
#[cfg(not(loom))]
mod continued;
#[cfg(not(loom))]
mod environment;
#[cfg(not(loom))]
pub mod event;
#[cfg(not(loom))]
pub mod finalize;
#[cfg(not(loom))]
mod flush;
#[cfg(not(loom))]
mod forked;
#[cfg(not(loom))]
mod guarded;
#[cfg(not(loom))]
pub mod host_call;
#[cfg(not(loom))]
mod last_word;
#[cfg(not(loom))]
pub mod ledger;
#[cfg(not(loom))]
mod memory;
#[cfg(doctest)]
mod must_not_compile;
#[cfg(not(loom))]
pub mod options;
#[cfg(not(loom))]
mod order;
#[cfg(not(loom))]
mod overlapped;
#[cfg(not(loom))]
mod parked;
#[cfg(not(loom))]
mod passes;
#[cfg(not(loom))]
pub mod phase;
#[cfg(not(loom))]
mod probe;
#[cfg(not(loom))]
mod process_end;
#[cfg(not(loom))]
mod provision;
#[cfg(not(loom))]
mod published;
#[cfg(not(loom))]
mod rack;
#[cfg(not(loom))]
mod reclaim;
#[cfg(not(loom))]
mod registry;
#[cfg(not(loom))]
pub mod report;
#[cfg(not(loom))]
mod row;
#[cfg(not(loom))]
pub mod runtime;
#[cfg(not(loom))]
pub mod sink;
#[cfg(not(loom))]
mod standard_error;
#[cfg(not(loom))]
mod text;
#[cfg(not(loom))]
mod this_thread;
#[cfg(not(loom))]
pub mod thread;
#[cfg(not(loom))]
mod tracked;
#[cfg(not(loom))]
mod unloaded;
#[cfg(not(loom))]
mod unpin;
#[cfg(not(loom))]
mod view;
#[cfg(not(loom))]
mod watch;
#[cfg(not(loom))]
mod whereabouts;
#[cfg(not(loom))]
pub mod writer;

#[cfg(not(loom))]
pub use sync::Deadline;
