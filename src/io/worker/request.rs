//! An errand, for who sent a hand on it: to wait for it, to cancel it, to give up on it.

use super::{
    ABANDONED, ASKED, Answer, DONE, HANDS, HOSTS, Hand, IDLE, KEPT, MOMENT, MOST, REVOKED, ROW,
    TAKEN, WRITING, can_be_sent, set,
};
use crate::io::descriptor::Spot;
use crate::io::{Refused, wait_for_room};
use crate::status::{self, Status};
use crate::sync::{Deadline, Ordering};
use crate::sys::process_end;
use libc::c_int;
use std::time::Duration;
use windows_sys::Win32::Foundation::ERROR_OPERATION_ABORTED;
use windows_sys::Win32::System::IO::CancelSynchronousIo;
use windows_sys::Win32::System::Threading::WaitForSingleObject;

/// How long a write may take to hear that it is cancelled.
const CANCEL: Duration = Duration::from_millis(20);

/// After how long it is told once more.
const AGAIN: Duration = Duration::from_millis(2);

/// Who may send it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crew {
    /// A thread of the host's.
    Host,
    /// Who finalizes, or writes a report.
    Common,
    /// The watch and the last word.
    Kept,
}

/// A write that a hand was sent to make.
pub(in crate::io) struct Sent {
    pub(super) hand: &'static Hand,
    /// When it has taken longer than one that nothing is in the way of.
    pub moment: Deadline,
}

impl Sent {
    /// Sends a hand to write; `None` if there is none to be had.
    pub(in crate::io) fn send(crew: Crew, spot: Spot, data: &[u8]) -> Option<Sent> {
        Sent::send_for(crew, spot, Some(data))
    }

    /// Sends one to close it.
    pub(in crate::io) fn send_to_close(crew: Crew, spot: Spot) -> Option<Sent> {
        Sent::send_for(crew, spot, None)
    }

    fn send_for(crew: Crew, spot: Spot, data: Option<&[u8]>) -> Option<Sent> {
        let (first, last) = match crew {
            Crew::Kept => (0, KEPT),
            Crew::Host => (KEPT, HOSTS),
            Crew::Common => (KEPT, HANDS),
        };
        let hands = &ROW[first..last];
        // Acquire: what the hand did before is over.
        let hand = hands.iter().find(|hand| hand.pass(IDLE, TAKEN)).or_else(|| {
            (crew != Crew::Kept).then(|| hands.iter().find(|hand| hand.start())).flatten()
        })?;
        // SAFETY: taken by this thread.
        let errand = unsafe { &mut *hand.errand.get() };
        (errand.spot, errand.closes) = (spot, data.is_none());
        let data = data.unwrap_or_default();
        errand.len = data.len().min(MOST);
        errand.data[..errand.len].copy_from_slice(&data[..errand.len]);
        hand.state.store(ASKED, Ordering::Release);
        set(&hand.asked);
        Some(Sent { hand, moment: Deadline::after(MOMENT) })
    }

    /// Waits until it is done or `deadline`; what came of it.
    pub(in crate::io) fn wait(&self, deadline: Deadline) -> Option<Answer> {
        self.sight().wait(deadline);
        self.answer()
    }

    /// What came of it, if it is done.
    pub(in crate::io) fn answer(&self) -> Option<Answer> {
        // Acquire: what the hand wrote there is seen.
        let done = self.hand.state.load(Ordering::Acquire) == DONE;
        // SAFETY: done: it is this thread's.
        done.then(|| unsafe { (*self.hand.errand.get()).answer })
    }

    /// What is needed to wait for it.
    pub(in crate::io) fn sight(&self) -> Sight {
        Sight { hand: self.hand, moment: self.moment }
    }

    /// Asks the system to end it, if it is under way.
    pub(in crate::io) fn cancel(&self) {
        let deadline = Deadline::after(CANCEL);
        // Once may be too early: it is about to ask the system.
        while self.hand.state.load(Ordering::Acquire) == WRITING && !deadline.passed() {
            // SAFETY: the hand's own thread, which does not leave while it is sent. Should it be done
            // meanwhile nothing is cancelled: it waits by no I/O.
            unsafe { CancelSynchronousIo(self.hand.thread.load(Ordering::Relaxed)) };
            self.wait(deadline.min(Deadline::after(AGAIN)));
        }
    }

    /// Gives up on it. `Some` is what certainly came of it; else nobody will know.
    pub(in crate::io) fn give_up(self) -> Option<Answer> {
        let revoked = self.hand.pass(ASKED, REVOKED);
        if revoked || self.hand.pass(WRITING, ABANDONED) {
            // From here on it may be another's.
            std::mem::forget(self);
            return revoked.then_some(Err(Refused::WouldBlock));
        }
        let answer = self.wait(Deadline::after_us(0))?;
        // Some of it may have been taken before it was cancelled.
        (answer != Err(Refused::System(ERROR_OPERATION_ABORTED))).then_some(answer)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let hand = self.hand;
        if !hand.pass(ASKED, REVOKED) && !hand.pass(WRITING, ABANDONED) {
            hand.pass(DONE, IDLE);
        }
    }
}

/// By it a hand is waited for without the right to its answer, which may be another's by then.
#[derive(Clone, Copy)]
pub(in crate::io) struct Sight {
    hand: &'static Hand,
    pub moment: Deadline,
}

impl Sight {
    /// Waits until it is done or `deadline`; less if it was given up.
    pub(in crate::io) fn wait(self, deadline: Deadline) {
        while matches!(self.hand.state.load(Ordering::Acquire), ASKED | WRITING)
            && !deadline.passed()
            && !process_end::under_way()
        {
            let left = deadline.left().map_or(1000, |left| left.as_millis().min(1000) as u32 + 1);
            // SAFETY: an event that is never closed.
            unsafe { WaitForSingleObject(self.hand.done.load(Ordering::Relaxed), left) };
        }
    }
}

/// Writes all of `data` to a descriptor, waiting for room until `deadline`, and not much longer.
///
/// # Errors
/// As `sink::write_all`.
pub(in crate::io) fn write_all_in_time(
    fd: c_int,
    data: &[u8],
    deadline: Deadline,
) -> Option<status::Result<()>> {
    if !can_be_sent() {
        return None;
    }
    let late = || Status::Timeout.because(format!("descriptor {fd} takes nothing"));
    let spot = Spot::unseen(fd);
    let mut rest = data;
    while !rest.is_empty() {
        let answer = match Sent::send(Crew::Common, spot, rest) {
            Some(sent) => match sent.wait(if deadline.passed() { sent.moment } else { deadline }) {
                Some(answer) => answer,
                None => {
                    sent.cancel();
                    return Some(Err(late()));
                }
            },
            None => Err(Refused::WouldBlock),
        };
        match answer {
            Ok(taken) => rest = &rest[taken..],
            Err(Refused::WouldBlock) => {
                if wait_for_room(&[], deadline).is_err() {
                    return Some(Err(late()));
                }
            }
            Err(refused) => return Some(Err(refused.error_at(fd))),
        }
    }
    Some(Ok(()))
}
