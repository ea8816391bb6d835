//! What the operating system is asked, one question a file.

#[cfg(windows)]
pub mod c_runtime;
pub mod cancellation;
pub mod cell;
pub mod loaded_code;
pub mod memory;
pub mod process_end;
pub mod signals;
pub mod thread_activity;
pub mod thread_exit;
