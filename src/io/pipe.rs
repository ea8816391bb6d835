//! A Windows pipe as a destination: only as much as it has room for is offered.
//!
//! Its room can be asked for. The answer is 0 too where its reader waits with a buffer of the pipe's
//! size, or where the pipe has none: so what has no room is offered all the same, by the pipe's own mode
//! in which nothing waits, `PIPE_NOWAIT`. A host's pipe may be in that mode for good. One that is not is
//! in it for the length of that one write.
//!
//! The mode is the end's, whoever uses it: an operation of another thread's, or of a process that inherited
//! it, that falls into that moment does not wait either. That moment is the lesser evil. Nothing that can
//! be asked tells a full pipe from one whose reader waits. A plain write waits in the first, and keeps
//! every operation from the end meanwhile; only another thread could end it, and only of a single byte
//! would it be certain then whether it was taken. But a reader that waits is the common case: each
//! flush to it would be the work of two threads.

use super::descriptor::{last_error, write_file};
use super::query::{Plain, ask};
use super::{Handle, Refused};
use std::ptr::{null, null_mut};
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation,
};
use windows_sys::Win32::Foundation::STATUS_ACCESS_DENIED;
use windows_sys::Win32::System::Pipes::{
    GetNamedPipeHandleStateW, PIPE_NOWAIT, PIPE_READMODE_MESSAGE, SetNamedPipeHandleState,
};

impl Plain for FILE_PIPE_LOCAL_INFORMATION {}

/// Whether it is a pipe. The server of one that only the client reads may not ask: that is an answer.
pub fn is_pipe(handle: Handle) -> bool {
    matches!(room_in(handle), Ok(_) | Err(STATUS_ACCESS_DENIED))
}

/// How much a pipe surely takes at once.
fn room_in(pipe: Handle) -> Result<usize, i32> {
    let mut local = FILE_PIPE_LOCAL_INFORMATION::default();
    ask(pipe, FilePipeLocalInformation, &mut local).map(|()| local.WriteQuotaAvailable as usize)
}

/// Offers `data`, unless `may_write` says no when it comes to that.
pub fn write(pipe: Handle, data: &[u8], may_write: &dyn Fn() -> bool) -> Result<usize, Refused> {
    let room = room_in(pipe).unwrap_or(0);
    let modes = if room == 0 { Modes::of(pipe) } else { None };
    if !may_write() {
        return Err(Refused::WouldBlock);
    }
    if room > 0 {
        return write_in_pieces(pipe, &data[..data.len().min(room)]);
    }
    // What it would have to be put back to is not told: it is written as it is, and may wait.
    let Some(modes) = modes else { return write_in_pieces(pipe, data) };
    if modes.0 & PIPE_NOWAIT != 0 {
        return write_in_pieces(pipe, data);
    }
    if let Err(refused) = Modes(modes.0 | PIPE_NOWAIT).set(pipe) {
        return match refused {
            Refused::Errno(_) => Err(refused),
            // A pipe that nobody reads any more says so to a write, which does not wait.
            _ => write_in_pieces(pipe, &data[..1]),
        };
    }
    let answer = write_in_pieces(pipe, data);
    // It cannot fail: it has just succeeded.
    let _ = modes.set(pipe);
    answer
}

/// Offers less until something is taken: a pipe that does not wait takes all that it is offered or nothing.
fn write_in_pieces(pipe: Handle, data: &[u8]) -> Result<usize, Refused> {
    let mut offered = data.len();
    loop {
        match write_file(pipe, &data[..offered]) {
            Ok(0) if offered > 1 => offered = offered.div_ceil(4),
            Ok(0) => return Err(Refused::WouldBlock),
            answer => return answer,
        }
    }
}

/// How operations on a pipe's end wait, and how it is read: one word.
struct Modes(u32);

impl Modes {
    /// `None` if the handle may not ask.
    fn of(pipe: Handle) -> Option<Modes> {
        let mut modes = 0;
        // SAFETY: the one word is written; nothing else is asked for.
        let told = unsafe {
            let (state, none) = (&raw mut modes, null_mut());
            GetNamedPipeHandleStateW(pipe.0, state, none, none, none, null_mut(), 0)
        };
        // Other bits say which end it is.
        (told != 0).then_some(Modes(modes & (PIPE_NOWAIT | PIPE_READMODE_MESSAGE)))
    }

    fn set(&self, pipe: Handle) -> Result<(), Refused> {
        // SAFETY: the one word given is read.
        let set = unsafe { SetNamedPipeHandleState(pipe.0, &self.0, null(), null()) };
        if set == 0 { Err(last_error()) } else { Ok(()) }
    }
}
