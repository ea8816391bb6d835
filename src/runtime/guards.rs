//! Guards: while one is open, the life of the runtime that it pins does not go on to the freeze.

pub mod exchange;
#[cfg(not(loom))]
pub mod table;
#[cfg(not(loom))]
pub mod view;
