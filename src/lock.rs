//! Locks whose owner may never give them back.

pub mod buffered;
pub mod grace;
pub mod in_use;
#[cfg(not(loom))]
pub mod recoverable;
