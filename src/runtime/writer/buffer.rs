//! The buffer of a writer.

use crate::status::{Result, Status};
use crate::sync::{AtomicBool, Ordering, fence};

/// Where the bytes offered to the destination lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    None,
    /// At the start of the buffer: they are accepted already.
    Buffered,
    /// In the caller's memory: they are accepted as they are taken.
    Direct,
    /// As `Buffered`, and the write has not returned: whoever takes the lock next asks for its outcome.
    #[cfg(windows)]
    UnderWay,
}

/// The buffer, under the writer's lock.
pub(super) struct Core {
    /// `buffer[start..]` is accepted and not written.
    pub(super) buffer: Vec<u8>,
    pub(super) start: usize,
    pub(super) offer: Offer,
    /// It is being moved or given other memory: a thread that was ended in there left something half done.
    changing: AtomicBool,
}

impl Core {
    pub(super) fn new(buffer: Vec<u8>) -> Core {
        Core { buffer, start: 0, offer: Offer::None, changing: AtomicBool::new(false) }
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Lets go of what is in the buffer; also of its memory, unseen, if a thread may have been in the
    /// middle of changing it.
    pub(super) fn begin_anew(&mut self, torn: bool) {
        if torn {
            std::mem::forget(std::mem::take(&mut self.buffer));
        }
        self.buffer.clear();
        (self.start, self.offer) = (0, Offer::None);
        self.changing.store(false, Ordering::Relaxed);
    }

    /// Whether its offer has not returned.
    pub(super) fn is_under_way(&self) -> bool {
        #[cfg(windows)]
        return self.offer == Offer::UnderWay;
        #[cfg(not(windows))]
        false
    }

    /// Makes sure that `more` bytes can be appended.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        if self.start == 0 && self.buffer.capacity() - self.buffer.len() >= more {
            return Ok(());
        }
        self.change(|core| {
            core.buffer.drain(..core.start);
            core.start = 0;
            core.buffer.try_reserve(more).map_err(|_| Status::NoMemory.error())
        })
    }

    fn change<R>(&mut self, make: impl FnOnce(&mut Core) -> R) -> R {
        // Relaxed, with the fence: who takes over from this thread sees it before any of the change, and (Release)
        // its end after all.
        self.changing.store(true, Ordering::Relaxed);
        fence::release();
        let made = make(self);
        self.changing.store(false, Ordering::Release);
        made
    }

    /// Whether its last user was ended in the middle of a change. Then nothing of it may be read; what it held is
    /// lost, and its memory left where it is.
    pub(super) fn drop_if_torn(&mut self) -> bool {
        // Acquire: pairs with `change`.
        let torn = self.changing.swap(false, Ordering::Acquire);
        if torn {
            self.begin_anew(true);
        }
        torn
    }

    /// Appends what there is room for by [`reserve`](Core::reserve).
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// If nothing is left, memory taken for a record larger than the buffer goes back.
    pub(super) fn trim(&mut self, capacity: usize) {
        if self.len() == 0 {
            self.change(|core| {
                core.buffer.clear();
                core.start = 0;
                if core.buffer.capacity() > capacity {
                    core.buffer.shrink_to(capacity);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Callbacks, Sink};
    use crate::runtime::Runtime;
    use crate::runtime::registry::Process;
    use crate::runtime::writer::{Writer, WriterOptions};
    use crate::sync::Deadline;
    use libc::c_void;

    unsafe extern "C-unwind" fn take_all(_: *mut c_void, _: *const c_void, len: usize) -> i64 {
        len as i64
    }

    #[test]
    fn a_buffer_whose_user_ended_in_the_middle_of_a_change_is_lost_and_counted() {
        let runtime = Runtime::new("torn");
        let write = take_all;
        let sink = Sink::Callbacks(Callbacks {
            write,
            wait: None,
            close: None,
            arg: std::ptr::null_mut(),
        });
        let writer = Writer::new(&runtime, sink, WriterOptions::default()).unwrap();
        let other = writer.clone();
        let ended = std::thread::spawn(move || {
            other.lock(Deadline::NEVER).unwrap();
            other.write(b"torn", Deadline::NEVER).unwrap();
            other
                .core
                .acquire(&Process, Deadline::NEVER)
                .unwrap()
                .changing
                .store(true, Ordering::Relaxed);
        });
        ended.join().unwrap();
        writer.write(b"whole", Deadline::NEVER).unwrap();
        writer.flush(Deadline::NEVER).unwrap();
        let account = writer.account();
        assert_eq!((account.accepted, account.written, account.unwritten), (9, 5, 4));
        assert!(account.reason.contains("changed the buffer"), "{}", account.reason);
    }
}
