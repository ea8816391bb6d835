//! What the calling thread is attached to.

use super::Attachment;
use crate::status::Result;
use crate::sync::activity::interrupted;
use crate::sync::slab::Slab;
use crate::sys::cell::{cell, is_over_the_library};
use crate::thread::this_thread;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// The attachments of one thread.
///
/// They stand in a slab and not on the heap, as the thread's block does.
#[derive(Default)]
struct Own {
    index: Cell<u32>,
    is_taken: Cell<bool>,
    list: RefCell<Vec<Arc<Attachment>>>,
    /// The one that was asked for last, or null: entering and leaving find it at once.
    recent: Cell<*const Attachment>,
}

// SAFETY: it is used by the thread that has taken it, and by no other until that has given it back.
unsafe impl Sync for Own {}

static OWN: Slab<Own> = Slab::new();

impl Own {
    #[inline]
    fn known() -> Option<&'static Own> {
        // SAFETY: null, or set by `begin` to a place of a slab, and unset before that is given back.
        unsafe { cell().attachments.get().cast::<Own>().as_ref() }
    }

    #[cold]
    fn begin() -> Result<&'static Own> {
        // From here on the thread's end is heard of.
        this_thread::id()?;
        if is_over_the_library() {
            // The code below the handler may be just here.
            return Err(interrupted());
        }
        let (index, own) = OWN.take()?;
        own.index.set(index);
        own.is_taken.set(true);
        cell().attachments.set(std::ptr::from_ref(own).cast());
        Ok(own)
    }

    /// `None` while the list is being changed.
    fn take(&self) -> Option<Vec<Arc<Attachment>>> {
        let mut list = self.list.try_borrow_mut().ok()?;
        self.recent.set(std::ptr::null());
        Some(std::mem::take(&mut *list))
    }

    fn give_back(&self) {
        self.is_taken.set(false);
        OWN.give_back(self.index.get());
    }

    #[cold]
    fn search(&self, id: u64) -> Option<&Attachment> {
        // The list is not borrowed during the step: a thread that parks looks at it too.
        let list = self.list.try_borrow().ok()?;
        let found = list.iter().find(|a| a.id() == id).map(Arc::as_ptr)?;
        drop(list);
        self.recent.set(found);
        // SAFETY: the list keeps it alive, and does not change during the step.
        Some(unsafe { &*found })
    }
}

/// Looks at what this thread is attached to.
pub fn attachments<R>(look: impl FnOnce(&mut Vec<Arc<Attachment>>) -> R) -> Result<R> {
    let own = match Own::known() {
        Some(own) => own,
        None => Own::begin()?,
    };
    // A signal handler may be over code that changes the list.
    let mut list = own.list.try_borrow_mut().map_err(|_| interrupted())?;
    // Once no handler finds an attachment any more: one that it notes here could go meanwhile.
    own.recent.set(std::ptr::null());
    Ok(look(&mut list))
}

/// Calls `step` on this thread's attachment of this number; `None` if there is none.
///
/// # Safety
/// `step` does not take the attachment out of this thread's list: it does not detach.
#[inline]
pub unsafe fn on_attachment<R>(id: u64, step: impl FnOnce(&Attachment) -> R) -> Option<R> {
    let own = Own::known()?;
    // SAFETY: the list keeps it alive, and whoever may change the list forgets it first.
    match unsafe { own.recent.get().as_ref() } {
        Some(recent) if recent.id() == id => Some(step(recent)),
        _ => own.search(id).map(step),
    }
}

/// The calling thread ends.
pub(crate) fn thread_ends() {
    let Some(own) = Own::known() else { return };
    let list = own.take();
    let is_whole = list.is_some();
    for attachment in list.iter().flatten() {
        attachment.thread_exited();
    }
    drop(list);
    cell().attachments.set(std::ptr::null());
    if is_whole {
        own.give_back();
    }
}

/// In the child of a `fork`: what threads had that were not copied serves others. A list that was being changed
/// stays as it is.
pub(crate) fn threads_are_lost() {
    let me = cell().attachments.get().cast::<Own>();
    for own in OWN.iter().filter(|own| own.is_taken.get() && !std::ptr::eq(*own, me)) {
        let Some(list) = own.take() else { continue };
        drop(list);
        own.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::runtime::attachment::ThreadOptions;

    fn attach(name: &str) -> Arc<Attachment> {
        Attachment::attach(&Runtime::new(name), ThreadOptions::default()).unwrap()
    }

    fn found(id: u64) -> Option<u64> {
        // SAFETY: the step does not detach.
        unsafe { on_attachment(id, Attachment::id) }
    }

    #[test]
    fn a_thread_in_two_runtimes_finds_each_attachment_in_turn() {
        let (one, other) = (attach("one"), attach("other"));
        for _ in 0..3 {
            assert_eq!(found(one.id()), Some(one.id()));
            assert_eq!(found(one.id()), Some(one.id()));
            assert_eq!(found(other.id()), Some(other.id()));
        }
        assert_eq!(found(0), None);
        let (id, foreign) = (one.id(), std::thread::spawn(move || found(one.id())));
        assert_eq!(foreign.join().unwrap(), None, "{id} is not that thread's");
    }

    #[test]
    fn the_attachment_found_last_is_not_found_once_it_detached() {
        let (gone, kept) = (attach("gone"), attach("kept"));
        assert_eq!(found(gone.id()), Some(gone.id()));
        gone.detach().unwrap();
        assert_eq!(found(gone.id()), None);
        assert_eq!(found(kept.id()), Some(kept.id()));
    }
}
