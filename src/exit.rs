//! The end of the process: at the hard deadline, in the child of a `fork`, and once all other threads are gone.

pub mod hard_exit;
pub mod library_load;
