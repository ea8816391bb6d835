//! The calling thread: its identity, its last error, and the hook that notices its end.
//!
//! The block behind its [cell] is made at the thread's first need and taken down at its [`end`]. What the
//! layers above keep for a thread they hear of by [`Hooks`].

pub(crate) mod duties;
mod end;
mod fork_hooks;

#[cfg(windows)]
pub(crate) use end::stay_loaded;
pub use fork_hooks::watch_forks;

use crate::status::{Result, Status};
use crate::sync::activity;
use crate::sync::slab::Slab;
use crate::sync::{AtomicPtr, Ordering};
use crate::sys::cell::{cell, current_tid, is_over_the_library};
use crate::text::FixedText;
use crate::thread::record::{Owner, OwnerId, OwnerRef, Owners};
use std::cell::{Cell, RefCell};

/// Every thread of the process that can own a lock.
pub static OWNERS: Owners = Owners::new();

/// What is known of the calling thread beyond its hot cell.
///
/// Blocks stand in a row and not on the heap: a signal handler that interrupted the heap may make a
/// thread's first call.
#[derive(Default)]
struct Block {
    index: Cell<u32>,
    /// Refers to the record; the block has one of its references.
    owner: Cell<Option<&'static Owner>>,
    duties: duties::Duties,
    last_error: LastError,
}

// SAFETY: a block is used by the thread that has taken it, and by no other until that has given it back.
unsafe impl Sync for Block {}

static BLOCKS: Slab<Block> = Slab::new();

/// A C string. Of fixed size, so that an error costs no allocation, even in a signal handler.
struct LastError(RefCell<[u8; LAST_ERROR_SIZE]>);

impl Default for LastError {
    fn default() -> LastError {
        LastError(RefCell::new([0; LAST_ERROR_SIZE]))
    }
}

const LAST_ERROR_SIZE: usize = 512;

/// The exit hook ran for the last time; nothing of the thread is left.
const GONE: u32 = u32::MAX;

/// Whether another thread that has a record is inside a section.
pub fn others_are_inside() -> bool {
    OWNERS.any_inside(cell().inside.get())
}

/// In the child of a fork: no other thread is.
pub fn nobody_else_is_inside() {
    OWNERS.nobody_is_inside_but(cell().inside.get());
}

/// This thread's id, once it has one.
#[inline]
pub fn known_id() -> Option<OwnerId> {
    OwnerId::new(cell().id.get())
}

/// This thread's id.
#[inline]
pub fn id() -> Result<OwnerId> {
    match known_id() {
        Some(id) => Ok(id),
        None => introduce().map(|block| block.owner().id()),
    }
}

/// This thread's record, with a reference to it.
pub fn owner() -> Result<OwnerRef> {
    record().map(OwnerRef::of)
}

/// This thread's record, which is its own as long as the thread lives.
pub fn record() -> Result<&'static Owner> {
    block().map(Block::owner)
}

impl Block {
    /// Nothing of the thread that had it is left.
    fn clear(&'static self) {
        self.owner.set(None);
        self.duties.clear();
        if let Ok(mut text) = self.last_error.0.try_borrow_mut() {
            text[0] = 0;
        }
    }

    fn owner(&self) -> &'static Owner {
        self.owner.get().expect("a block in use has an owner")
    }
}

/// Keeps the text of this thread's last error, cut to what fits.
pub fn remember_error(text: std::fmt::Arguments<'_>) {
    let Ok(block) = block() else { return };
    // A signal handler that fails while its thread writes an error here loses its text.
    let Ok(mut buffer) = block.last_error.0.try_borrow_mut() else { return };
    let cut = FixedText::<{ LAST_ERROR_SIZE - 1 }>::of(text);
    let (len, text) = (cut.len(), cut.as_str().as_bytes());
    buffer[..len].copy_from_slice(text);
    buffer[len] = 0;
}

/// This thread's last error, as a C string that lives as long as the thread.
pub fn last_error() -> *const libc::c_char {
    let block = cell().block.get().cast::<Block>();
    if block.is_null() {
        return c"".as_ptr();
    }
    // SAFETY: as in `block`; the buffer always ends in a NUL.
    unsafe { (*block).last_error.0.as_ptr().cast() }
}

#[inline]
fn block() -> Result<&'static Block> {
    let block = cell().block.get().cast::<Block>();
    if block.is_null() {
        return introduce();
    }
    // SAFETY: set by `introduce` to a place of a row, and unset by the exit hook before that is given
    // back; both on this thread.
    Ok(unsafe { &*block })
}

/// Takes no memory from the heap: a signal handler may have interrupted that.
#[cold]
fn introduce() -> Result<&'static Block> {
    let cell = cell();
    if cell.exiting.get() == GONE {
        return Err(Status::ThreadExiting.error());
    }
    if is_over_the_library() {
        // The code below the handler may be just here.
        return Err(activity::interrupted());
    }
    prepare();
    let (index, block) = BLOCKS.take()?;
    let owner = match OWNERS.introduce(current_tid()) {
        Ok(owner) => owner,
        Err(error) => {
            BLOCKS.give_back(index);
            return Err(error);
        }
    };
    if !end::watch(block) {
        // Without a word of its end the thread would seem to have its locks for good.
        OWNERS.retire(&owner);
        BLOCKS.give_back(index);
        return Err(Status::NoMemory.because("no memory to hear of the thread's end"));
    }
    let id = owner.id();
    block.index.set(index);
    block.owner.set(Some(OwnerRef::keep(owner)));
    if cell.sections.get() == 0 {
        cell.inside.set(block.owner().inside());
    }
    cell.block.set(std::ptr::from_ref(block).cast());
    cell.id.set(id.get());
    Ok(block)
}

/// What is looked up and asked for once in a process, before the first thread uses the library. Done as
/// the library is loaded: later it could take memory from the heap below a signal handler, and wait for
/// the loader's lock.
pub fn prepare() {
    crate::sync::fence::prepare();
    #[cfg(unix)]
    end::prepare();
    watch_forks();
}

/// What the layers above do as a thread ends, and in the child of a `fork`.
pub struct Hooks {
    /// The calling thread, whose record this is, ends: nothing of theirs may refer to it any more.
    pub thread_ends: fn(&OwnerRef),
    /// In the child of a `fork`, before the records of the threads that were not copied are given back.
    pub threads_are_lost: fn(),
    /// In the child of a `fork`, of which this thread is left.
    pub forked: fn(Option<OwnerId>),
}

/// Null as long as no layer above has begun.
static HOOKS: AtomicPtr<Hooks> = AtomicPtr::new(std::ptr::null_mut());

/// Has these hooks called. Safe in a signal handler.
pub fn call_hooks(hooks: &'static Hooks) {
    // Release: pairs with `hooks`.
    HOOKS.store(std::ptr::from_ref(hooks).cast_mut(), Ordering::Release);
}

fn hooks() -> Option<&'static Hooks> {
    // SAFETY: null, or a reference for good. Acquire: pairs with `call_hooks`.
    unsafe { HOOKS.load(Ordering::Acquire).as_ref() }
}

/// The calling thread, whose block this is, ends.
fn ended(block: &'static Block) {
    let _work = activity::Call::begin();
    let owner = OwnerRef::of_kept(block.owner());
    if let Some(hooks) = hooks() {
        (hooks.thread_ends)(&owner);
    }
    OWNERS.retire(&owner);
    let cell = cell();
    cell.exiting.set(GONE);
    cell.id.set(0);
    cell.block.set(std::ptr::null());
    cell.inside.set(std::ptr::null());
    block.clear();
    BLOCKS.give_back(block.index.get());
}
