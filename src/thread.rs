//! Threads: the record of each, which says whether it lives, and the calling thread, which calls into the host.

pub mod host_call;
pub(crate) mod record;
pub(crate) mod this_thread;
