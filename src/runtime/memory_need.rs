//! What a finalization may have to allocate, and the bytes that are written out where that is not to be had.

use crate::runtime::Runtime;
use crate::runtime::writer::Writer;
use crate::sync::Deadline;

impl Runtime {
    /// What its finalization may have to allocate, with its children's.
    pub(crate) fn need(&self) -> usize {
        let mut all = self.registrations.lock().need();
        self.each_child(|child| all = all.saturating_add(child.need()));
        all
    }

    /// Writes out what its writers and its children's hold, waiting for locks and for room until `deadline`. Says
    /// whether nothing is left. Allocates nothing.
    pub(crate) fn write_out(&self, deadline: Deadline) -> bool {
        // First what goes without waiting, so that a stuck one costs the others nothing.
        self.each_writer(|writer| {
            writer.write_out(Deadline::after_us(0));
        });
        let mut all = true;
        self.each_writer(|writer| all &= writer.write_out(deadline));
        self.each_child(|child| all &= child.write_out(deadline));
        all
    }

    /// The list is not locked meanwhile: a writer's destination can be the host's code.
    fn each_writer(&self, mut look: impl FnMut(&Writer)) {
        let mut left = self.registrations.lock().writers.len();
        while left > 0 {
            left -= 1;
            let writer = self.registrations.lock().writers.get(left).cloned();
            if let Some(writer) = writer {
                look(&writer);
            }
        }
    }

    fn each_child(&self, mut look: impl FnMut(&Runtime)) {
        let mut left = self.registrations.lock().children.len();
        while left > 0 {
            left -= 1;
            let child = self.registrations.lock().children.get(left).cloned();
            if let Some(child) = child {
                look(&child);
            }
        }
    }
}
