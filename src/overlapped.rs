//! stub
use crate::ledger::Leak;
use crate::sync::Deadline;

/// stub
pub struct Overlapped;

/// stub
pub enum Settled {
    /// freed
    Freed,
    /// leaked
    Leaked(Leak),
}

impl Overlapped {
    pub(crate) fn cancel_for_finalization(&self) {}
    pub(crate) fn settle_for_finalization(&self, _deadline: Deadline) -> Settled {
        Settled::Freed
    }
}
