//! The calling thread's cell: the few words that a thread's every call needs.
//!
//! It is C (`cell.c`), for its thread-local model. Only the thread itself and signal handlers over it look
//! here; a handler sees the stores of the code that it interrupted in their order, which a fence for the
//! compiler keeps.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;

/// What the library is doing on a thread, see [`activity`](crate::sync::activity): a call works.
pub const BUSY: u32 = 1;

/// What the library keeps at hand for a thread. C lays it out alike (`cell.c`).
#[repr(C)]
pub struct ThreadCell {
    pub id: Cell<u64>,
    pub sections: Cell<u32>,
    pub activity: Cell<u32>,
    pub block: Cell<*const ()>,
    pub inside: Cell<*const AtomicU32>,
    pub attachments: Cell<*const ()>,
    pub guards: Cell<*const ()>,
    pub refusals: Cell<*const ()>,
    pub duties: Cell<u64>,
    pub handlers: Cell<u32>,
    pub deferred: AtomicU32,
    pub forks: Cell<u32>,
    pub before_fork: Cell<u32>,
    pub fork_hooks: Cell<u32>,
    pub calls: Cell<u32>,
    pub exiting: Cell<u32>,
    pub ended: Cell<u32>,
    pub cancel: Cell<u32>,
    pub reserve: Cell<u32>,
}

/// Finds the calling thread's cell.
///
/// In the initial-exec model that is two instructions, too few to be worth the call to a C function
/// that every acquire and release would make. Inline assembly reaches the symbol where the
/// instructions are known; the linker sees the relocations a C compiler would have left.
///
/// Windows' six instructions inline take no less than the call; and by `@SECREL32`, which would make them
/// four, GNU ld (2.40) writes an image that works at no other address than its own.
mod cell_address {
    use super::ThreadCell;

    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
    #[inline(always)]
    pub fn get() -> *const ThreadCell {
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
    pub fn get() -> *const ThreadCell {
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
    pub fn get() -> *const ThreadCell {
        unsafe extern "C" {
            #[allow(improper_ctypes, reason = "C never follows the pointer to the block")]
            fn rtfinalize_this_cell() -> *const ThreadCell;
        }
        // SAFETY: no arguments, no effects.
        unsafe { rtfinalize_this_cell() }
    }
}

#[inline]
pub fn cell() -> &'static ThreadCell {
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

/// The host's cancellation state, kept while the library has cancellation disabled, see
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

/// Whether the present call comes from a signal handler over a section of this thread: then nothing that a
/// mutex of the library's protects may be touched.
#[inline]
pub fn is_over_a_section() -> bool {
    let cell = cell();
    cell.handlers.get() > 0 && cell.sections.get() > 0
}

/// Whether the present call comes from a signal handler over the library at work on this thread.
#[inline]
pub fn is_over_the_library() -> bool {
    cell().handlers.get() > 0
}

/// Whether the fork that is under way was made by a signal handler over the library at work.
pub fn is_fork_over_the_library() -> bool {
    let cell = cell();
    cell.before_fork.get() == BUSY || cell.fork_hooks.get() > 1
}

/// Whether code of the library lies below a signal handler on this thread, or below the hooks of a fork, so that
/// the heap may be below them too.
pub fn is_interrupting() -> bool {
    let cell = cell();
    cell.handlers.get() > 0 || (cell.fork_hooks.get() > 0 && is_fork_over_the_library())
}
