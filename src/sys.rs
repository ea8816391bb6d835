//! What the operating system is asked, one question a file.

pub mod cancellation;
pub mod loaded_code;
pub mod memory;
pub mod signals;
pub mod thread_activity;
