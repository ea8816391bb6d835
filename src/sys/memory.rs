//! Memory for the small objects that the language makes or ends the process (law 8).
//!
//! A large buffer is asked for, and refused with an error. But a shared object, a copied name or a
//! formatted text cannot be asked for: when that allocation fails the process ends. So who is about to
//! make some first sees whether there is room. Another thread can take that room in between; a process
//! at its limit is told all the same.

mod reserve;

use reserve::leaving_half;
pub(crate) use reserve::{HALF, with_reserve, without_reserve};

use crate::status::{Result, Status};

/// Makes sure that there is memory for `bytes` and the small objects of one call.
///
/// # Errors
/// `NoMemory`.
pub fn spare(bytes: usize) -> Result<()> {
    let had = leaving_half(|| is_had(bytes.saturating_add(SMALL_OBJECTS)));
    if had { Ok(()) } else { Err(Status::NoMemory.error()) }
}

/// As [`spare`], before a thread of std's begins: std asks the system itself for what belongs to a thread, past the
/// reserve, and ends the process where there is none.
///
/// # Errors
/// `NoMemory`.
pub fn spare_for_thread(bytes: usize) -> Result<()> {
    without_reserve(|| spare(bytes))
}

/// Windows' heaps take room for many small objects of one size at once.
const SMALL_OBJECTS: usize = if cfg!(windows) { 64 * 1024 } else { 8192 };

/// Whether so much memory can be had in one piece.
pub fn is_had(bytes: usize) -> bool {
    let mut room: Vec<u8> = Vec::new();
    let had = room.try_reserve_exact(bytes).is_ok();
    // Or the allocation, never used, is left out by the compiler.
    std::hint::black_box(&mut room);
    had
}

/// Appends `make()`, with texts of about `size` bytes, to a list for which memory may be short; says whether there was
/// any.
pub fn try_push<T>(list: &mut Vec<T>, size: usize, make: impl FnOnce() -> T) -> bool {
    let room = leaving_half(|| list.try_reserve(1).is_ok()) && spare(size).is_ok();
    if room {
        list.push(make());
    }
    room
}

/// As [`try_push`], for a value that is there and needs no memory of its own: the large request by
/// which `try_push` sees whether there is room makes the allocator tidy up.
pub fn try_put<T>(list: &mut Vec<T>, value: T) -> bool {
    let room = leaving_half(|| list.try_reserve(1).is_ok());
    if room {
        list.push(value);
    }
    room
}

/// A copy of `name`, if there is memory for it.
pub fn try_name(name: &str) -> Option<String> {
    let mut copy = String::new();
    leaving_half(|| copy.try_reserve_exact(name.len())).ok()?;
    copy.push_str(name);
    Some(copy)
}

/// Zeroed memory of the system's, for what is never freed. Safe in a signal handler, also over the heap.
#[cfg(unix)]
pub fn pages(size: usize) -> Option<*mut u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: asks for new memory anywhere.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) };
    (start != libc::MAP_FAILED).then_some(start.cast())
}

/// Gives back what [`pages`] gave.
///
/// # Safety
/// `start` and `size` are those of a call of [`pages`], and nobody uses the memory.
#[cfg(unix)]
pub unsafe fn give_back_pages(start: *mut u8, size: usize) {
    // SAFETY: by this function's own contract.
    unsafe { libc::munmap(start.cast(), size) };
}

/// Zeroed memory for what is never freed. There are no signal handlers here, so it is the heap's.
#[cfg(not(unix))]
pub fn pages(size: usize) -> Option<*mut u8> {
    let layout = std::alloc::Layout::from_size_align(size, 4096).ok().filter(|l| l.size() > 0)?;
    // SAFETY: the size is not zero.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    (!start.is_null()).then_some(start)
}

/// Gives back what [`pages`] gave.
///
/// # Safety
/// `start` and `size` are those of a call of [`pages`], and nobody uses the memory.
#[cfg(not(unix))]
pub unsafe fn give_back_pages(start: *mut u8, size: usize) {
    if let Ok(layout) = std::alloc::Layout::from_size_align(size, 4096) {
        // SAFETY: by this function's own contract.
        unsafe { std::alloc::dealloc(start, layout) };
    }
}
