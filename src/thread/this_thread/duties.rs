//! What this thread is in the middle of, and for whom: callbacks of a runtime, and finalizations.
//!
//! The notes stand in the thread's block, and each goes by itself. They do not lie on the stack, nor are they
//! taken to end in order: a host that switches stacks inside a callback (greenlet does) may end the outer one
//! first, and what was on the stack of one that waits is somewhere else meanwhile.
//!
//! A signal handler finds each note whole or not at all: it is reserved before it is written, and has its
//! number last.

use super::block;
use crate::sync::fence;
use crate::sync::slab::Slab;
use crate::sys::cell::cell;
use std::cell::Cell;

const NOTES: usize = 16;

/// For whom a thread does something: the address of what a layer above knows, which borrows it meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Whom(*const ());

impl Whom {
    /// Whatever it is for.
    pub const UNKNOWN: Whom = Whom(std::ptr::null());

    /// For this.
    pub fn of<T>(thing: &T) -> Whom {
        Whom(std::ptr::from_ref(thing).cast())
    }

    /// Its address; null if it is not known.
    pub fn address<T>(self) -> *const T {
        self.0.cast()
    }
}

impl Default for Whom {
    fn default() -> Whom {
        Whom::UNKNOWN
    }
}

/// The notes of one thread.
#[derive(Default)]
pub(super) struct Duties {
    page: Page,
    /// The number of the latest.
    last: Cell<u64>,
}

/// Some notes, and where there are more for a thread that is in the middle of many things.
#[derive(Default)]
struct Page {
    notes: [Note; NOTES],
    next: Cell<Option<&'static Page>>,
}

// SAFETY: a page is used by the thread that has its block, and by no other until that has given it back.
unsafe impl Sync for Page {}

static PAGES: Slab<Page> = Slab::new();

impl Page {
    /// Itself and those that follow.
    fn all(&'static self) -> impl Iterator<Item = &'static Page> {
        std::iter::successors(Some(self), |page| page.next.get())
    }

    /// A note that is free, reserved.
    fn reserve(&'static self) -> Option<&'static Note> {
        let free = |page: &'static Page| page.notes.iter().find(|note| note.number.get() == FREE);
        if let Some(note) = self.all().find_map(free) {
            note.number.set(RESERVED);
            return Some(note);
        }
        let (_, page) = PAGES.take().ok()?;
        page.notes[0].number.set(RESERVED);
        // A signal handler may have appended one meanwhile.
        let last = self.all().last().unwrap_or(self);
        last.next.set(Some(page));
        Some(&page.notes[0])
    }
}

#[derive(Default)]
struct Note {
    /// `FREE`, `RESERVED`, or which of the thread's notes it is.
    number: Cell<u64>,
    whom: Cell<Whom>,
    finalizes: Cell<bool>,
}

const FREE: u64 = 0;
const RESERVED: u64 = u64::MAX;

impl Duties {
    /// The thread has ended, perhaps in the middle of something.
    pub(super) fn clear(&'static self) {
        self.page.all().flat_map(|page| &page.notes).for_each(|note| note.number.set(FREE));
    }
}

/// Takes its note away when it is dropped.
pub struct Duty(Option<&'static Note>);

impl Drop for Duty {
    fn drop(&mut self) {
        fence::signal();
        match self.0 {
            Some(note) => note.number.set(FREE),
            None => cell().duties.set(cell().duties.get() - 1),
        }
    }
}

/// Notes that the thread is in the middle of something for `whom`.
pub fn begin(whom: Whom, finalizes: bool) -> Duty {
    let duties = block().ok().map(|block| &block.duties);
    let free = duties.and_then(|duties| Some((duties, duties.page.reserve()?)));
    let Some((duties, note)) = free else {
        // One that there is no room for: of it only that it is.
        cell().duties.set(cell().duties.get() + 1);
        return Duty(None);
    };
    fence::signal();
    note.whom.set(whom);
    note.finalizes.set(finalizes);
    let number = duties.last.get() + 1;
    duties.last.set(number);
    fence::signal();
    note.number.set(number);
    Duty(Some(note))
}

fn notes() -> impl Iterator<Item = &'static Note> {
    let known = !cell().block.get().is_null();
    let page = if known { block().ok().map(|block| &block.duties.page) } else { None };
    let is_noted = |note: &&Note| !matches!(note.number.get(), FREE | RESERVED);
    page.into_iter().flat_map(Page::all).flat_map(|page| &page.notes).filter(is_noted)
}

/// Whether `is_it` holds for a runtime the thread is in the middle of something for, and whether it finalizes
/// that.
pub fn any(is_it: impl Fn(Whom, bool) -> bool) -> bool {
    let unknown = cell().duties.get() > 0 && is_it(Whom::UNKNOWN, false);
    unknown || notes().any(|note| is_it(note.whom.get(), note.finalizes.get()))
}

/// The latest of those for which `is_it` holds of whether they finalize, and whether it does.
pub fn latest(is_it: impl Fn(bool) -> bool) -> Option<(Whom, bool)> {
    let of_kind = notes().filter(|note| is_it(note.finalizes.get()));
    let latest = of_kind.max_by_key(|note| note.number.get())?;
    Some((latest.whom.get(), latest.finalizes.get()))
}
