//! The calling thread: its identity, its attachments, its last error, and the hook that notices
//! its end.
//!
//! The cell with the hot fields is C (`this_thread.c`), for its thread-local model. The block
//! behind it is made at the thread's first need and taken down at its [`end`].

mod end;

pub(crate) use end::has_ended;
#[cfg(windows)]
pub(crate) use end::{ends_within_ms, stay_loaded};

use crate::owner::{Owner, OwnerId, Owners};
use crate::rack::Mine;
use crate::status::{Result, Status};
use crate::text::FixedText;
use crate::thread::Attachment;
use crate::tracked::Refusals;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
#[cfg(unix)]
use std::sync::OnceLock;

/// Every thread of the process that can own a lock.
pub static OWNERS: Owners = Owners::new();

#[repr(C)]
struct HotCell {
    id: Cell<u64>,
    sections: Cell<u32>,
    calls: Cell<u32>,
    block: Cell<*mut Block>,
    exiting: Cell<u32>,
    ended: Cell<u32>,
    rest: Cell<*mut libc::c_void>,
    refusals: Cell<*const Refusals>,
    #[cfg(windows)]
    duty: Cell<*const libc::c_void>,
}

/// What is known of the calling thread beyond its hot cell.
struct Block {
    owner: Arc<Owner>,
    attachments: RefCell<Vec<Arc<Attachment>>>,
    /// The one of them that was asked for last, or null: entering and leaving find it at once.
    recent: Cell<*const Attachment>,
    guards: Mine,
    /// A C string. Of fixed size, so that an error costs no allocation, even in a signal handler.
    last_error: RefCell<[u8; LAST_ERROR_SIZE]>,
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

/// What this thread is in the middle of, see [`host_call`](crate::host_call). Rust's own thread-locals
/// are gone early in the end of a thread here.
#[cfg(windows)]
pub fn duty() -> &'static Cell<*const libc::c_void> {
    &cell().duty
}

/// How many host callbacks this thread is inside of.
#[inline]
pub fn calls() -> &'static Cell<u32> {
    &cell().calls
}

/// Notes that a callback ended this thread; the outermost call will resume that at `rest`.
pub fn set_ended(rest: *mut libc::c_void) {
    cell().rest.set(rest);
    cell().ended.set(1);
}

/// Takes the note of [`set_ended`] back, once no callback is on the stack any more.
#[inline]
pub fn take_ended() -> Option<*mut libc::c_void> {
    let cell = cell();
    (cell.ended.get() != 0 && cell.calls.get() == 0).then(|| {
        cell.ended.set(0);
        cell.rest.get()
    })
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
        None => introduce().map(|block| block.owner.id()),
    }
}

/// This thread's record.
pub fn owner() -> Result<Arc<Owner>> {
    block().map(|block| block.owner.clone())
}

/// Looks at what this thread is attached to.
pub fn attachments<R>(look: impl FnOnce(&mut Vec<Arc<Attachment>>) -> R) -> Result<R> {
    block().map(|block| {
        block.recent.set(std::ptr::null());
        look(&mut block.attachments.borrow_mut())
    })
}

/// Looks at this thread's guards.
#[inline]
pub fn guards<R>(look: impl FnOnce(&Mine, &Arc<Owner>) -> R) -> Result<R> {
    block().map(|block| look(&block.guards, &block.owner))
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
    #[cold]
    fn search(&self, id: u64) -> Option<&Attachment> {
        // The list is not borrowed during the step: a thread that parks looks at it too.
        let found = self.attachments.borrow().iter().find(|a| a.id() == id).map(Arc::as_ptr)?;
        self.recent.set(found);
        // SAFETY: the list keeps it alive, and does not change during the step.
        Some(unsafe { &*found })
    }
}

/// Keeps the text of this thread's last error, cut to what fits.
pub fn remember_error(text: std::fmt::Arguments<'_>) {
    let Ok(block) = block() else { return };
    // A signal handler that fails while its thread writes an error here loses its text.
    let Ok(mut buffer) = block.last_error.try_borrow_mut() else { return };
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
    unsafe { (*block).last_error.as_ptr().cast() }
}

#[inline]
fn block() -> Result<&'static Block> {
    let block = cell().block.get();
    if block.is_null() {
        return introduce();
    }
    // SAFETY: set by `introduce` to a leaked box, and unset by the exit hook before it is freed;
    // both on this thread.
    Ok(unsafe { &*block })
}

#[cold]
fn introduce() -> Result<&'static Block> {
    let cell = cell();
    if cell.exiting.get() == GONE {
        return Err(Status::ThreadExiting.error());
    }
    crate::memory::spare(size_of::<Block>())?;
    let owner = OWNERS.introduce(current_tid());
    let id = owner.id();
    let block = Box::into_raw(Box::new(Block {
        owner,
        attachments: RefCell::default(),
        recent: Cell::new(std::ptr::null()),
        guards: Mine::default(),
        last_error: RefCell::new([0; LAST_ERROR_SIZE]),
    }));
    cell.block.set(block);
    cell.id.set(id.get());
    end::watch(block);
    // SAFETY: just leaked; freed only by this thread's exit hook.
    Ok(unsafe { &*block })
}

/// The system's number for the calling thread.
pub fn current_tid() -> u32 {
    #[cfg(target_os = "linux")]
    // SAFETY: no arguments, no effects.
    return unsafe { libc::syscall(libc::SYS_gettid) as u32 };
    #[cfg(windows)]
    // SAFETY: no arguments, no effects.
    return unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() };
    #[cfg(not(any(target_os = "linux", windows)))]
    return std::process::id();
}

/// Asks, once, to be told of every `fork`. Where there is none nobody calls the hooks.
#[cfg(not(unix))]
pub fn watch_forks() {
    let _: [extern "C" fn(); 3] = [fork_before, fork_in_parent, fork_in_child];
}

/// Asks, once, to be told of every `fork`.
#[cfg(unix)]
pub fn watch_forks() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: the hooks are functions of this library, which is never unloaded.
        unsafe {
            libc::pthread_atfork(Some(fork_before), Some(fork_in_parent), Some(fork_in_child));
        }
    });
}

/// The calling thread, whose block this is, ends.
fn ended(block: Box<Block>) {
    #[cfg(windows)]
    crate::registry::finalizer_ends(block.owner.id());
    block.recent.set(std::ptr::null());
    for attachment in block.attachments.borrow_mut().drain(..) {
        attachment.thread_exited();
    }
    block.guards.end(&block.owner);
    OWNERS.retire(&block.owner);
    let cell = cell();
    cell.exiting.set(GONE);
    cell.id.set(0);
    cell.block.set(std::ptr::null_mut());
}

extern "C" fn fork_before() {
    crate::sync::fork::before();
}

extern "C" fn fork_in_parent() {
    crate::sync::fork::after_in_parent();
}

extern "C" fn fork_in_child() {
    crate::sync::fork::after_in_child();
    let block = cell().block.get();
    // SAFETY: as in `block`.
    let survivor = unsafe { block.as_ref() }.map(|block| &*block.owner);
    OWNERS.forked(survivor, current_tid());
    crate::rack::forked(survivor.map(Owner::id));
    crate::writer::forked(survivor.map(Owner::id));
    crate::registry::forked(survivor.map(Owner::id));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::thread::ThreadOptions;

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
