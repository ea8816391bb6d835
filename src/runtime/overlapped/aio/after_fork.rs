//! AIO in the child of a `fork` whose parent has used it.
//!
//! glibc counts helper threads that the fork did not copy, and believes that an idle one will come for what
//! is queued: a request is accepted there and may never begin. Its locks may be held by such a thread, too.
//! So in that process each request has a helper of this library's, which makes one plain read or write.
//!
//! ```text
//!   NONE ──begin──▶ QUEUED ──the helper──▶ RUNNING ──the helper──▶ DONE
//!                     │                                             ▲
//!                     └────────────────cancel───────────────────────┘
//! ```
//!
//! The step to `DONE` is the last access of whoever makes it: the request's memory may go then. A helper that
//! finds its request cancelled, and so perhaps gone, is told by a flag that both share.

use crate::runtime::overlapped::provider::{Outcome, Progress, Why};
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicI64, AtomicU32, Deadline, Ordering, fork, park, wake_all};

const NONE: u32 = 0;
const PENDING: u32 = 1;
const DONE: u32 = 2;

/// Whether another process, from which this one was forked, has made a request of the system. The first
/// caller is that process.
pub(super) fn is_child_of_user() -> bool {
    /// The process that made the first request: its generation plus one.
    static FIRST_USER: AtomicU32 = AtomicU32::new(0);
    let me = fork::generation() + 1;
    // Relaxed: a fork orders what its child reads.
    let first = FIRST_USER.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed);
    first.is_err_and(|first| first != me)
}

/// Who has the request of a helper: of the helper that begins it and the caller that cancels it one is first.
const FREE: u32 = 0;
const TAKEN: u32 = 1;

/// The helper of one request.
#[derive(Default)]
pub(super) struct Helper {
    state: AtomicU32,
    /// The count, or a negative `errno`.
    result: AtomicI64,
    claim: std::sync::OnceLock<Arc<AtomicU32>>,
}

/// What a helper is given.
struct Work {
    helper: *const Helper,
    block: *const libc::aiocb,
    writes: bool,
    claim: Arc<AtomicU32>,
}

// SAFETY: both pointers stay good until the request is done, which happens by the helper that has it or by
// the one call that takes it from the helper.
unsafe impl Send for Work {}

impl Helper {
    /// Has a thread carry the request of `block` out.
    ///
    /// # Errors
    /// `WouldBlock` if there is no thread to be had, `NoMemory`.
    ///
    /// # Safety
    /// The block, its buffer and this stay where they are until [`progress`](Helper::progress) says that the
    /// request is done; and nobody else touches the block.
    pub(super) unsafe fn begin(&self, block: *const libc::aiocb, writes: bool) -> Result<()> {
        crate::sys::memory::spare_for_thread(0)?;
        let claim = self.claim.get_or_init(Arc::default).clone();
        self.state.store(PENDING, Ordering::Relaxed);
        let work = Work { helper: self, block, writes, claim };
        let begun =
            std::thread::Builder::new().name("rtfinalize-aio".to_owned()).spawn(move || {
                crate::sys::signals::seal_own_thread();
                work.do_it();
            });
        match begun {
            Ok(_) => Ok(()),
            Err(error) => {
                self.state.store(NONE, Ordering::Relaxed);
                Err(Status::WouldBlock.because(format!("no thread for the request: {error}")))
            }
        }
    }

    /// How far the request is; `None` if it is not a helper's.
    pub(super) fn progress(&self) -> Option<Progress> {
        // Acquire: pairs with the Release in `end`.
        match self.state.load(Ordering::Acquire) {
            NONE => None,
            PENDING => Some(Progress::Pending(Why::InFlight)),
            _ => Some(Progress::Done(self.outcome())),
        }
    }

    fn outcome(&self) -> Outcome {
        let result = self.result.load(Ordering::Relaxed);
        usize::try_from(result).map_err(|_| i32::try_from(-result).unwrap_or(libc::EIO))
    }

    /// Takes the request from its helper, if that has not begun it. False if it is not a helper's.
    pub(super) fn cancel(&self) -> bool {
        let Some(claim) = self.claim.get() else { return false };
        // Relaxed: the word alone decides.
        if claim.swap(TAKEN, Ordering::Relaxed) == FREE {
            self.end(-i64::from(libc::ECANCELED));
        }
        true
    }

    /// Waits until the request is done or `deadline`. False if it is not a helper's.
    pub(super) fn wait(&self, deadline: Deadline) -> bool {
        let pending = || self.state.load(Ordering::Acquire) == PENDING;
        if self.claim.get().is_none() {
            return false;
        }
        park(self.key(), pending, deadline);
        true
    }

    fn end(&self, result: i64) {
        let key = self.key();
        self.result.store(result, Ordering::Relaxed);
        // Release: what was read is there before anyone looks. Nothing of this is touched afterwards.
        self.state.store(DONE, Ordering::Release);
        wake_all(key);
    }

    fn key(&self) -> usize {
        self.state.as_ptr().addr()
    }
}

impl Work {
    fn do_it(self) {
        // Relaxed: the word alone decides.
        if self.claim.swap(TAKEN, Ordering::Relaxed) != FREE {
            return;
        }
        // SAFETY: this thread has the request now, so it is not done, and all of it is there.
        let (helper, block) = unsafe { (&*self.helper, &*self.block) };
        let result = loop {
            let libc::aiocb { aio_fildes: fd, aio_buf: data, aio_nbytes: size, .. } = *block;
            // SAFETY: the buffer has room for, or is filled with, as many bytes; `at` is its position, which
            // what cannot be positioned has none of.
            let count = unsafe {
                let at = block.aio_offset;
                match self.writes {
                    true => match libc::pwrite(fd, data, size, at) {
                        -1 if is_stream() => libc::write(fd, data, size),
                        count => count,
                    },
                    false => match libc::pread(fd, data, size, at) {
                        -1 if is_stream() => libc::read(fd, data, size),
                        count => count,
                    },
                }
            };
            let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            match i64::try_from(count) {
                Ok(count) if count >= 0 => break count,
                _ if error == libc::EINTR => {}
                _ => break -i64::from(error),
            }
        };
        helper.end(result);
    }
}

/// Whether a call failed because the descriptor has no positions.
fn is_stream() -> bool {
    std::io::Error::last_os_error().raw_os_error() == Some(libc::ESPIPE)
}
