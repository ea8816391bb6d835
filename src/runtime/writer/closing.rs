//! The end of a writer that its host has closed or abandoned.

use super::Writer;
use super::accounting::By;
use super::buffer::Core;
use crate::lock::recoverable::Hold;
use crate::status::Result;
use crate::sync::{Deadline, Ordering};
#[cfg(windows)]
use crate::{
    io::Refused,
    report::ledger::{Leak, LeakKind},
    status::{Error, Status},
};

impl Writer {
    /// Takes it out of its runtime, and closes what it owns.
    pub(super) fn retire(&self, core: Hold<'_, Core>, deadline: Deadline) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        self.seal();
        core.give_up();
        self.disown();
        // Before the descriptor may become another's.
        self.rescue_entry.cut();
        self.close_sink(deadline)
    }

    fn close_sink(&self, deadline: Deadline) -> Result<()> {
        let owned = self.owns_descriptor;
        let closed = match self.who_writes(deadline) {
            By::Caller => self.sink.close(owned),
            #[cfg(windows)]
            By::Hand(crew) => self.sink.close_in_time(owned, crew, deadline),
        };
        #[cfg(windows)]
        if closed == Err(Refused::UnderWay) {
            return Err(self.leave_open());
        }
        closed.map_err(|refused| refused.error(&self.name))
    }

    /// Windows closes a handle once no thread is in an operation on it, and that is not waited for.
    #[cfg(windows)]
    fn leave_open(&self) -> Error {
        const WHY: &str =
            "its handle could not be closed in time beside another thread's operation on it";
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.enter_leak(Leak {
                kind: LeakKind::Writer,
                name: self.name.to_string(),
                bytes: 0,
                reason: WHY.to_owned(),
            });
        }
        Status::Io.because(format!("writer '{}': {WHY}", self.name))
    }
}
