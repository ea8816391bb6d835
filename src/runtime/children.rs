//! Runtimes in a tree: a child is registered with its parent, which finalizes it before itself.

use crate::report::Report;
use crate::runtime::lifecycle::State;
use crate::runtime::registry;
use crate::runtime::{Runtime, RuntimeOptions};
use crate::status::{Result, Status};
use crate::sync::Arc;

/// How many generations there may be below a runtime that is nobody's child: a child is finalized on
/// the stack of its parent's finalization.
pub const MAX_DEPTH: usize = 32;

impl Runtime {
    /// A child of `parent`.
    ///
    /// # Errors
    /// `Finalizing` once the parent admits nothing any more; `Invalid` below [`MAX_DEPTH`]
    /// generations.
    pub fn new_child(parent: &Arc<Runtime>, options: RuntimeOptions) -> Result<Arc<Runtime>> {
        if parent.ancestors().len() >= MAX_DEPTH {
            let what = format!("a runtime may have {MAX_DEPTH} generations of descendants at most");
            return Err(Status::Invalid.because(what));
        }
        let child = registry::enroll(options, Some(parent));
        // Entered first: its parent may finalize it as soon as it is admitted.
        parent.admit_child(&child).inspect_err(|_| registry::strike(&child))?;
        Ok(child)
    }

    pub(crate) fn admit_child(&self, child: &Arc<Runtime>) -> Result<()> {
        let mut registrations = self.registrations.lock();
        if registrations.closed {
            drop(registrations);
            return Err(self.late());
        }
        let open = registrations.children.len() + 1;
        let reserved = registrations
            .children
            .try_reserve(1)
            .and_then(|()| registrations.child_reports.try_reserve(open));
        reserved.map_err(|_| Status::NoMemory.error())?;
        registrations.children.push(child.clone());
        drop(registrations);
        Ok(())
    }

    /// Gives its report to its parent, if that finalizes and has not given up on it. Says whether.
    pub(crate) fn hand_to_parent(&self, report: &Arc<Report>) -> bool {
        let Some(parent) = self.parent() else { return false };
        let mut registrations = parent.registrations.lock();
        let nested = parent.state() != State::Running && registrations.knows_child(self);
        if nested {
            registrations.child_reports.push(report.clone());
        }
        nested
    }

    /// It is finalized: its parent need not see to it any more.
    pub(crate) fn leave_parent(&self) {
        if let Some(parent) = self.parent() {
            let mut registrations = parent.registrations.lock();
            let at = registrations.children.iter().position(|child| std::ptr::eq(&**child, self));
            let child = at.map(|at| registrations.children.remove(at));
            drop(registrations);
            drop(child);
        }
    }
}
