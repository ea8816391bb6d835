//! The calling thread: its identity, its attachments, its last error, and the hook that notices
//! its end.
//!
//! The cell with the hot fields is C (`this_thread.c`), for its thread-local model. The block
//! behind it is made at the thread's first need and taken down at its [`end`].

pub(crate) mod activity;
pub(crate) mod duties;
mod end;
mod fork_hooks;

#[cfg(unix)]
pub(crate) use activity::at_rest;
pub(crate) use activity::{is_interrupting, is_over_a_section, is_over_the_library};
pub(crate) use end::has_ended;
#[cfg(windows)]
pub(crate) use end::{ends_within_ms, stay_loaded};
pub use fork_hooks::{do_deferred, watch_forks};

use crate::runtime::attachment::Attachment;
use crate::runtime::guards::table::Mine;
use crate::runtime::objects::Refusals;
use crate::status::{Result, Status};
use crate::sync::AtomicU32;
use crate::sync::slab::Row;
use crate::text::FixedText;
use crate::thread::record::{Owner, OwnerId, OwnerRef, Owners};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Every thread of the process that can own a lock.
pub static OWNERS: Owners = Owners::new();

#[repr(C)]
struct HotCell {
    id: Cell<u64>,
    sections: Cell<u32>,
    activity: Cell<u32>,
    block: Cell<*const Block>,
    inside: Cell<*const AtomicU32>,
    refusals: Cell<*const Refusals>,
    duties: Cell<u64>,
    handlers: Cell<u32>,
    deferred: AtomicU32,
    forks: Cell<u32>,
    before_fork: Cell<u32>,
    fork_hooks: Cell<u32>,
    calls: Cell<u32>,
    exiting: Cell<u32>,
    ended: Cell<u32>,
    cancel: Cell<u32>,
    reserve: Cell<u32>,
}

/// What is known of the calling thread beyond its hot cell.
///
/// Blocks stand in a row and not on the heap: a signal handler that interrupted the heap may make a
/// thread's first call.
#[derive(Default)]
struct Block {
    index: Cell<u32>,
    /// Refers to the record; the block has one of its references.
    owner: Cell<Option<&'static Owner>>,
    attachments: RefCell<Vec<Arc<Attachment>>>,
    /// The one of them that was asked for last, or null: entering and leaving find it at once.
    recent: Cell<*const Attachment>,
    guards: Mine,
    duties: duties::Duties,
    last_error: LastError,
}

// SAFETY: a block is used by the thread that has taken it, and by no other until that has given it back.
unsafe impl Sync for Block {}

static BLOCKS: Row<Block> = Row::new();

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

/// Finds the calling thread's cell.
///
/// In the initial-exec model that is two instructions, too few to be worth the call to a C function
/// that every acquire and release would make. Inline assembly reaches the symbol where the
/// instructions are known; the linker sees the relocations a C compiler would have left.
///
/// Windows' six instructions inline take no less than the call; and by `@SECREL32`, which would make them
/// four, GNU ld (2.40) writes an image that works at no other address than its own.
mod cell_address {
    use super::HotCell;

    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
    #[inline(always)]
    pub fn get() -> *const HotCell {
        let address;
        // SAFETY: adds the cell's offset, which the loader put into the global offset table, to
        // the thread pointer. Both stay as they are while the thread lives; no memory of Rust's is
        // read or written.
        unsafe {
            std::arch::asm!(
                "mov {address}, qword ptr fs:[0]",
                "add {address}, qword ptr [rip + rtfinalize_cell@GOTTPOFF]",
                address = out(reg) address,
                options(pure, nomem, nostack),
            );
        }
        address
    }

    #[cfg(all(target_os = "linux", target_arch = "aarch64", target_pointer_width = "64"))]
    #[inline(always)]
    pub fn get() -> *const HotCell {
        let address;
        // SAFETY: as on x86_64.
        unsafe {
            std::arch::asm!(
                "mrs {address}, tpidr_el0",
                "adrp {offset}, :gottprel:rtfinalize_cell",
                "ldr {offset}, [{offset}, :gottprel_lo12:rtfinalize_cell]",
                "add {address}, {address}, {offset}",
                address = out(reg) address,
                offset = out(reg) _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }

    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_pointer_width = "64"
    )))]
    #[inline]
    pub fn get() -> *const HotCell {
        unsafe extern "C" {
            #[allow(improper_ctypes, reason = "C never follows the pointer to the block")]
            fn rtfinalize_this_cell() -> *const HotCell;
        }
        // SAFETY: no arguments, no effects.
        unsafe { rtfinalize_this_cell() }
    }
}

#[inline]
fn cell() -> &'static HotCell {
    // SAFETY: this thread's own cell, which lives as long as the thread; the reference cannot leave
    // it, for a `Cell` is not `Sync`. Both languages lay the struct out alike.
    unsafe { &*cell_address::get() }
}

/// How many internal sections this thread is inside of.
#[inline]
pub fn sections() -> &'static Cell<u32> {
    &cell().sections
}

/// What tells this thread from the others of the process, while it lives.
#[inline]
pub fn address() -> usize {
    cell_address::get().addr()
}

/// Where this thread says that it is inside a section, see [`fork`]; `None` without a record.
#[inline]
pub fn inside() -> Option<&'static AtomicU32> {
    // SAFETY: it lies in a record, which is this thread's as long as the pointer is set, and never freed.
    unsafe { cell().inside.get().as_ref() }
}

/// Whether another thread that has a record is inside a section.
pub fn others_are_inside() -> bool {
    OWNERS.any_inside(cell().inside.get())
}

/// In the child of a fork: no other thread is.
pub fn nobody_else_is_inside() {
    OWNERS.nobody_is_inside_but(cell().inside.get());
}

/// How many of this thread's sections are forks that are under way.
pub fn forks_counted_as_sections() -> u32 {
    cell().fork_hooks.get().saturating_sub(1)
}

/// What this thread does as it leaves its sections, see [`fork`].
#[inline]
pub fn deferred() -> &'static AtomicU32 {
    &cell().deferred
}

/// How many forks this thread is in the middle of.
#[inline]
pub fn forks() -> &'static Cell<u32> {
    &cell().forks
}

/// The host's own cancellation state while the library holds cancellation off, see
/// [`cancel`](crate::sys::cancellation).
pub fn cancel_state() -> &'static Cell<u32> {
    &cell().cancel
}

/// Whether this thread may draw on the [reserve](crate::sys::memory): not 0.
#[inline]
pub fn reserve() -> &'static Cell<u32> {
    &cell().reserve
}

/// How many host callbacks this thread is inside of.
#[inline]
pub fn calls() -> &'static Cell<u32> {
    &cell().calls
}

/// Notes that a callback ended this thread. The call that made the callback will resume that; callbacks that
/// the same call makes until then are further in, and so are the calls that those make.
pub fn set_ended() {
    let cell = cell();
    cell.ended.set(cell.calls.get() + 1);
}

/// Takes the note of [`set_ended`] back, in a call as far in as the one that made the callback.
#[inline]
pub fn take_ended() -> bool {
    let cell = cell();
    let is_here = cell.ended.get() == cell.calls.get() + 1;
    if is_here {
        cell.ended.set(0);
    }
    is_here
}

/// Runs `call` with this thread marked as inside a dealloc callback: calls it makes are refused, and
/// noted in `refusals`.
pub fn while_deallocating<R>(refusals: &Refusals, call: impl FnOnce() -> R) -> R {
    struct Back(*const Refusals);
    impl Drop for Back {
        fn drop(&mut self) {
            cell().refusals.set(self.0);
        }
    }
    let _back = Back(cell().refusals.replace(refusals));
    call()
}

/// Where to note a call, if this thread is inside a dealloc callback.
#[inline]
pub fn refusals() -> Option<&'static Refusals> {
    // SAFETY: set while the frame of `while_deallocating` on this thread borrows it; nothing keeps the
    // reference beyond a call made inside that frame.
    unsafe { cell().refusals.get().as_ref() }
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

/// This thread's record.
pub fn owner() -> Result<OwnerRef> {
    block().map(|block| OwnerRef::of(block.owner()))
}

/// Looks at what this thread is attached to.
pub fn attachments<R>(look: impl FnOnce(&mut Vec<Arc<Attachment>>) -> R) -> Result<R> {
    let block = block()?;
    // A signal handler may be over code that changes the list.
    let mut list = block.attachments.try_borrow_mut().map_err(|_| activity::interrupted())?;
    // Once no handler finds an attachment any more: one that it notes here could go meanwhile.
    block.recent.set(std::ptr::null());
    Ok(look(&mut list))
}

/// Looks at this thread's guards.
#[inline]
pub fn guards<R>(look: impl FnOnce(&Mine, &'static Owner) -> R) -> Result<R> {
    block().map(|block| look(&block.guards, block.owner()))
}

/// Calls `step` on this thread's attachment of this number; `None` if there is none.
///
/// # Safety
/// `step` does not take the attachment out of this thread's list: it does not detach.
#[inline]
pub unsafe fn on_attachment<R>(id: u64, step: impl FnOnce(&Attachment) -> R) -> Option<R> {
    // SAFETY: as in `block`.
    let block = unsafe { cell().block.get().as_ref() }?;
    // SAFETY: the list keeps it alive, and whoever may change the list forgets it first.
    match unsafe { block.recent.get().as_ref() } {
        Some(recent) if recent.id() == id => Some(step(recent)),
        _ => block.search(id).map(step),
    }
}

impl Block {
    /// Nothing of the thread that had it is left, but its attachments.
    fn clear(&'static self) {
        self.owner.set(None);
        self.duties.clear();
        self.guards.clear();
        if let Ok(mut text) = self.last_error.0.try_borrow_mut() {
            text[0] = 0;
        }
    }

    /// `None` while its list is being changed.
    fn take_attachments(&self) -> Option<Vec<Arc<Attachment>>> {
        let mut list = self.attachments.try_borrow_mut().ok()?;
        self.recent.set(std::ptr::null());
        Some(std::mem::take(&mut *list))
    }

    fn owner(&self) -> &'static Owner {
        self.owner.get().expect("a block in use has an owner")
    }

    #[cold]
    fn search(&self, id: u64) -> Option<&Attachment> {
        // The list is not borrowed during the step: a thread that parks looks at it too.
        let list = self.attachments.try_borrow().ok()?;
        let found = list.iter().find(|a| a.id() == id).map(Arc::as_ptr)?;
        drop(list);
        self.recent.set(found);
        // SAFETY: the list keeps it alive, and does not change during the step.
        Some(unsafe { &*found })
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
    let block = cell().block.get();
    if block.is_null() {
        return c"".as_ptr();
    }
    // SAFETY: as in `block`; the buffer always ends in a NUL.
    unsafe { (*block).last_error.0.as_ptr().cast() }
}

#[inline]
fn block() -> Result<&'static Block> {
    let block = cell().block.get();
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
    if activity::is_over_the_library() {
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
    cell.block.set(block);
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

/// The system's number for the calling thread.
pub fn current_tid() -> u32 {
    #[cfg(target_os = "linux")]
    // SAFETY: no arguments, no effects. Refused, it leaves the thread without a number.
    return unsafe { u32::try_from(libc::syscall(libc::SYS_gettid)).unwrap_or(0) };
    #[cfg(windows)]
    // SAFETY: no arguments, no effects.
    return unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() };
    #[cfg(not(any(target_os = "linux", windows)))]
    return std::process::id();
}

/// The calling thread, whose block this is, ends.
fn ended(block: &'static Block) {
    let _work = activity::Call::begin();
    let owner = OwnerRef::of_kept(block.owner());
    #[cfg(windows)]
    crate::runtime::registry::finalizer_ends(owner.id());
    let attachments = block.take_attachments().unwrap_or_default();
    for attachment in &attachments {
        attachment.thread_exited();
    }
    drop(attachments);
    block.guards.end(&owner);
    OWNERS.retire(&owner);
    let cell = cell();
    cell.exiting.set(GONE);
    cell.id.set(0);
    cell.block.set(std::ptr::null());
    cell.inside.set(std::ptr::null());
    block.clear();
    BLOCKS.give_back(block.index.get());
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
