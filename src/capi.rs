//! The C ABI, and nothing else: null checks, conversions, the panic boundary. A file an object.
//!
//! Every exported function is written out literally, for cbindgen reads the source. Each is
//! `extern "C-unwind"`: a callback may end its thread, and the system unwinds our last frame then.

#![allow(non_camel_case_types, non_upper_case_globals, reason = "these are C's names")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the header documents each call's contract; a Safety heading would leak into it"
)]

mod boundary;
mod handle;

pub mod account;
pub mod buffered_lock;
pub mod callback;
pub mod error;
pub mod event;
pub mod finalize;
pub mod guard;
pub mod object;
pub mod options;
pub mod overlapped;
#[cfg(windows)]
pub mod overlapped_windows;
pub mod phase;
pub mod report;
pub mod report_details;
pub mod runtime;
pub mod thread;
pub mod types;
pub mod version;
pub mod writer;

pub use types::{rt_callback, rt_status};
