//! What every exported function passes: panics stop here, errors become numbers and a text.

use crate::runtime::objects::Refusals;
use crate::runtime::objects::refused_calls;
use crate::status::{Error, Result, Status};
use crate::sync::activity::{self, Call};
use crate::sys::cancellation::Shield;
use crate::thread::host_call;
use crate::thread::this_thread;
use libc::{c_char, c_void};
use std::any::{Any, type_name};
use std::ffi::{CStr, OsStr};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::rt_status;

/// Runs the body of an exported function. It is refused inside a dealloc callback, and in a signal handler
/// that interrupted the library on this thread; the thread cannot be cancelled in it.
///
/// Afterwards it ends the thread if a callback asked for that: the frames from here to the host own
/// nothing then, so the system may unwind them.
#[inline]
pub fn boundary<F: FnOnce() -> Result<Status>>(body: F) -> rt_status {
    if let Some(refusals) = refused_calls() {
        return refused_in_dealloc(refusals, exported_name(type_name::<F>()));
    }
    pass(Handlers::Refused, || shielded(body))
}

/// As [`boundary`], for what touches no runtime: C data of the host's, or a report.
pub fn boundary_in_dealloc_too(body: impl FnOnce() -> Result<Status>) -> rt_status {
    pass(Handlers::Refused, || shielded(body))
}

/// As [`boundary`], for what is called all the time. The body makes no system call at which a thread can be
/// cancelled, so nothing has to hold that off.
#[inline]
pub fn light_boundary<F: FnOnce() -> Result<Status>>(body: F) -> rt_status {
    if let Some(refusals) = refused_calls() {
        return refused_in_dealloc(refusals, exported_name(type_name::<F>()));
    }
    pass(Handlers::Refused, body)
}

/// As [`light_boundary`], for what works in every signal handler: the body takes nothing that the code below
/// the handler may have locked, see [`is_over_a_section`](cell::is_over_a_section).
#[inline]
pub fn boundary_in_handlers<F: FnOnce() -> Result<Status>>(body: F) -> rt_status {
    if let Some(refusals) = refused_calls() {
        return refused_in_dealloc(refusals, exported_name(type_name::<F>()));
    }
    pass(Handlers::Admitted, body)
}

/// As [`boundary_in_handlers`], for C data of the host's.
pub fn boundary_in_handlers_and_dealloc(body: impl FnOnce() -> Result<Status>) -> rt_status {
    pass(Handlers::Admitted, body)
}

/// Whether a function may be called in a signal handler over the library at work on its thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handlers {
    Admitted,
    Refused,
}

#[inline]
fn pass(handlers: Handlers, body: impl FnOnce() -> Result<Status>) -> rt_status {
    #[cfg(windows)]
    let _kept = LastError::keep();
    let call = Call::begin();
    let (status, returns_to_host) = if handlers == Handlers::Refused && call.is_over_the_library() {
        (refused_over_the_library(), false)
    } else {
        (contain(body), call.comes_from_the_host())
    };
    drop(call);
    if returns_to_host {
        host_call::settle();
    }
    status as rt_status
}

/// The thread is not cancelled in `body`: the unwinding would meet the library's frames.
fn shielded(body: impl FnOnce() -> Result<Status>) -> Result<Status> {
    let _shield = Shield::up();
    body()
}

#[cold]
fn refused_over_the_library() -> Status {
    // What a host asks for that finalizes in a handler: it is in the middle of that already.
    if host_call::is_finalizing() {
        return refused(Status::InCallback.because("in a signal handler over a finalization"));
    }
    refused(activity::interrupted())
}

/// What `GetLastError` says, kept over a call: a deallocator runs in the middle of code that is about to
/// look at it, as CPython's knows.
#[cfg(windows)]
struct LastError(u32);

#[cfg(windows)]
impl LastError {
    fn keep() -> LastError {
        // SAFETY: it only asks.
        LastError(unsafe { windows_sys::Win32::Foundation::GetLastError() })
    }
}

#[cfg(windows)]
impl Drop for LastError {
    fn drop(&mut self) {
        // SAFETY: sets a number of this thread's.
        unsafe { windows_sys::Win32::Foundation::SetLastError(self.0) };
    }
}

#[cold]
fn refused_in_dealloc(refusals: &Refusals, call: &'static str) -> rt_status {
    refusals.note(call);
    refused(Status::InDealloc.because(call)) as rt_status
}

/// The exported function whose body has this type: a closure's type has the path it stands in.
fn exported_name(body: &'static str) -> &'static str {
    let Some((_, name)) = body.split_once("::rt_") else { return "a call of the library" };
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    let start = body.len() - name.len() - "rt_".len();
    &body[start..start + "rt_".len() + end]
}

fn contain(body: impl FnOnce() -> Result<Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => refused(error),
        Err(panic) => panicked(panic),
    }
}

#[cold]
fn refused(error: Error) -> Status {
    this_thread::remember_error(format_args!("{error}"));
    error.status()
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> Status {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    let error = Status::Internal.because(what.to_owned());
    // The panic's own payload may panic when dropped; it is not worth the risk.
    std::mem::forget(panic);
    refused(error)
}

/// A pointer the call cannot do without.
pub fn required<'a, T>(pointer: *const T) -> Result<&'a T> {
    // SAFETY: the header says the pointer is NULL or valid for the length of the call.
    unsafe { pointer.as_ref() }.ok_or_else(|| Status::Null.error())
}

/// Writes a result through a pointer the call cannot do without.
pub fn give<T>(out: *mut T, value: T) -> Result<()> {
    if out.is_null() {
        return Err(Status::Null.error());
    }
    // SAFETY: not null, and the header says it is writable then. It may be uninitialised.
    unsafe { out.write(value) };
    Ok(())
}

/// A name that the call is going to copy: `NULL` is none.
///
/// # Errors
/// `Utf8`; `NoMemory`, see [`crate::sys::memory`].
pub fn text<'a>(name: *const c_char) -> Result<Option<&'a str>> {
    if name.is_null() {
        return crate::sys::memory::spare(0).map(|()| None);
    }
    // SAFETY: not null, and the header says it is a C string then.
    let name = unsafe { CStr::from_ptr(name) };
    crate::sys::memory::spare(name.count_bytes())?;
    name.to_str().map(Some).map_err(|_| Status::Utf8.error())
}

/// A text that may have a file's name in it: any bytes where names are, else UTF-8.
///
/// # Errors
/// `Null`; `Utf8` where names are not bytes; `NoMemory`, see [`crate::sys::memory`].
pub fn os_text<'a>(value: *const c_char) -> Result<&'a OsStr> {
    if value.is_null() {
        return Err(Status::Null.error());
    }
    // SAFETY: not null, and the header says it is a C string then.
    let value = unsafe { CStr::from_ptr(value) };
    crate::sys::memory::spare(value.count_bytes())?;
    #[cfg(unix)]
    return Ok(std::os::unix::ffi::OsStrExt::from_bytes(value.to_bytes()));
    #[cfg(not(unix))]
    return value.to_str().map(OsStr::new).map_err(|_| Status::Utf8.error());
}

/// The bytes of a buffer; `NULL` is the empty one if its length is zero.
pub fn bytes<'a>(data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Status::Null.error());
    }
    if isize::try_from(len).is_err() {
        return Err(Status::Size.because(format!("{len} bytes")));
    }
    // SAFETY: not null, no longer than an object can be, and the header says it is readable.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// A versioned struct from C: all zeroes where the host's version is older than ours.
///
/// # Errors
/// `Null`; `StructSize` if the size is smaller than its first version, absurd, or that of a newer
/// version with something set we do not know.
///
/// # Safety
/// `T` starts with `size_t struct_size` and is valid when all zeroes; `pointer` is NULL or points to
/// as many readable bytes as its first field says.
pub unsafe fn versioned<T: Copy>(pointer: *const T, first_version: usize) -> Result<T> {
    let size = stated_size(pointer, first_version)?;
    let ours = size_of::<T>();
    if size > ours {
        // SAFETY: by the caller, `size` bytes are readable.
        let rest =
            unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(ours), size - ours) };
        if rest.iter().any(|&byte| byte != 0) {
            return Err(
                Status::StructSize.because("a newer version of the struct, with new fields set")
            );
        }
    }
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: both are valid for the smaller of the two sizes; all zeroes is valid, by the caller.
    Ok(unsafe {
        pointer.cast::<u8>().copy_to_nonoverlapping(value.as_mut_ptr().cast(), size.min(ours));
        value.assume_init()
    })
}

/// Fills a versioned struct of the host's as far as its version goes; what a newer version has more
/// is zeroed.
///
/// # Errors
/// As [`versioned`].
///
/// # Safety
/// As [`versioned`], and writable.
pub unsafe fn give_versioned<T: Copy>(
    out: *mut T,
    mut value: T,
    first_version: usize,
) -> Result<()> {
    let size = stated_size(out, first_version)?;
    let ours = size_of::<T>();
    // SAFETY: by the caller, `size` bytes are writable, and `T` starts with its size.
    unsafe {
        std::ptr::from_mut(&mut value).cast::<usize>().write(size);
        let value = std::ptr::from_ref(&value).cast::<u8>();
        out.cast::<u8>().copy_from_nonoverlapping(value, size.min(ours));
        if size > ours {
            out.cast::<u8>().add(ours).write_bytes(0, size - ours);
        }
    }
    Ok(())
}

/// Writes a text to a buffer of the host's, as a C string: what does not fit is cut. `*needed`, if it is not `NULL`,
/// gets the size of the whole, its NUL included; a `size` of zero asks for nothing else.
///
/// # Errors
/// `Size` if it was cut; `Null`.
pub fn give_text(
    text: &str,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> Result<Status> {
    if !needed.is_null() {
        give(needed, text.len() + 1)?;
    }
    if size == 0 {
        return Ok(Status::Ok);
    }
    if buffer.is_null() {
        return Err(Status::Null.error());
    }
    let fits = text.floor_char_boundary(size - 1);
    // SAFETY: by the header, `size` bytes are writable; `fits` is less.
    unsafe {
        buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), fits);
        buffer.add(fits).write(0);
    }
    if fits == text.len() { Ok(Status::Ok) } else { Err(Status::Size.because("the buffer")) }
}

fn stated_size<T>(pointer: *const T, first_version: usize) -> Result<usize> {
    if pointer.is_null() {
        return Err(Status::Null.error());
    }
    // SAFETY: not null; the first field of every versioned struct is its size.
    let size = unsafe { pointer.cast::<usize>().read() };
    // No version will be this large; a garbage size must not be followed.
    const ABSURD: usize = 4096;
    if size < first_version || size > ABSURD {
        return Err(Status::StructSize.because(format!("struct_size is {size}")));
    }
    Ok(size)
}
