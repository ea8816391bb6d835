//! Writes that somebody waits for by a deadline: made by a thread of the library's, a hand.
//!
//! Windows makes the operations on one file object, opened without overlapped I/O, one after another,
//! also those of other processes that inherited it. While any thread sits in a read or a write of it,
//! a write waits without a bound, and so does the mere question how much room there is. So where
//! a wait must have an end another thread is sent:
//!
//! ```text
//!   NONE ──start──▶ TAKEN ──▶ ASKED ──▶ WRITING ──▶ DONE ──▶ (taken again, or) IDLE ──▶ LEAVING ──▶ NONE
//!   IDLE ──────────▶  ▲         │ give up  │ give up             ▲
//!                               ▼          ▼                     │
//!                            REVOKED    ABANDONED ───────────────┘
//! ```
//!
//! `ASKED` becomes `WRITING` in one step just before the system is offered a byte. So who gives up on an
//! errand before that step knows that nothing was written, nor will be. The bytes are copied: a hand
//! touches nobody's memory but its own.
//!
//! Hands stand in a fixed row with their buffers. To send one that waits already takes no lock and
//! no memory, so the last word of a process may: some are kept for it alone.

use super::{Refused, Spot};
use crate::process_end;
use crate::status::{self, Status};
use crate::sync::sentinel::{Bell, Runs, Sentinel};
use crate::sync::{Arc, AtomicPtr, AtomicU32, Deadline, Ordering, sleep};
use libc::{c_int, c_void};
use std::cell::UnsafeCell;
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_OPERATION_ABORTED, HANDLE,
};
use windows_sys::Win32::System::IO::CancelSynchronousIo;
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, GetCurrentThread, SetEvent, WaitForSingleObject,
};

/// The most one errand carries.
pub const MOST: usize = 32 * 1024;

/// How long a write that nothing is in the way of may take, on a machine that is busy.
pub(super) const MOMENT: Duration = Duration::from_millis(100);

/// How long a write may take to hear that it is cancelled.
const CANCEL: Duration = Duration::from_millis(20);

/// How long a thread may take to begin.
const BEGIN: Duration = Duration::from_secs(1);

/// Hands kept for the watch and the last word.
pub const KEPT: usize = 4;

/// All hands. Where as many are stuck, nothing more is tried.
const HANDS: usize = 16;

const NONE: u32 = 0;
const TAKEN: u32 = 1;
const ASKED: u32 = 2;
const WRITING: u32 = 3;
const DONE: u32 = 4;
const REVOKED: u32 = 5;
const ABANDONED: u32 = 6;
const IDLE: u32 = 7;
const LEAVING: u32 = 8;

/// Who may send it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Crew {
    /// Everybody.
    Common,
    /// The watch and the last word.
    Kept,
}

struct Errand {
    spot: Spot,
    data: [u8; MOST],
    len: usize,
    answer: Answer,
}

pub(super) type Answer = Result<usize, Refused>;

struct Hand {
    state: AtomicU32,
    /// Set when there is something to do, or nothing any more.
    asked: AtomicPtr<c_void>,
    /// Set when an errand is done.
    done: AtomicPtr<c_void>,
    thread: AtomicPtr<c_void>,
    errand: UnsafeCell<Errand>,
}

// SAFETY: the errand is the asker's from `TAKEN` to `ASKED` and from `DONE` on, and the hand's between;
// the state passes it on.
unsafe impl Sync for Hand {}

static ROW: [Hand; HANDS] = [const { Hand::new() }; HANDS];

/// How many finalizations want hands to stay.
static WANTED: AtomicU32 = AtomicU32::new(0);

/// While it lives, hands that have nothing to do stay.
pub(crate) struct Wanted(());

impl Wanted {
    pub(crate) fn new() -> Wanted {
        // SeqCst: see `Hand::rest`.
        WANTED.fetch_add(1, Ordering::SeqCst);
        Wanted(())
    }

    /// Makes `count` of those for the watch and the last word, as far as there are threads to be had.
    pub(crate) fn keep(&self, count: usize) {
        for hand in &ROW[..count.min(KEPT)] {
            if hand.start() {
                // A thread that begins may use the heap, which the finalizing thread may come to be stuck
                // in. (Should another keep every thread from beginning, this one goes on.)
                let deadline = Deadline::after(BEGIN);
                while hand.thread.load(Ordering::Relaxed).is_null() && !deadline.passed() {
                    sleep(Duration::from_micros(20));
                }
                hand.pass(TAKEN, IDLE);
                if deadline.passed() {
                    return;
                }
            }
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        // SeqCst: see `Hand::rest`.
        if WANTED.fetch_sub(1, Ordering::SeqCst) == 1 {
            for hand in &ROW {
                if hand.state.load(Ordering::SeqCst) == IDLE {
                    set(&hand.asked);
                }
            }
        }
    }
}

/// A write that a hand was sent to make.
pub(super) struct Sent {
    hand: &'static Hand,
    /// When it has taken longer than one that nothing is in the way of.
    pub moment: Deadline,
}

impl Sent {
    /// Sends a hand; `None` if there is none to be had.
    pub(super) fn send(crew: Crew, spot: Spot, data: &[u8]) -> Option<Sent> {
        let (first, last) = if crew == Crew::Kept { (0, KEPT) } else { (KEPT, HANDS) };
        let hands = &ROW[first..last];
        // Acquire: what the hand did before is over.
        let hand = hands.iter().find(|hand| hand.pass(IDLE, TAKEN)).or_else(|| {
            (crew == Crew::Common).then(|| hands.iter().find(|hand| hand.start())).flatten()
        })?;
        // SAFETY: taken by this thread.
        let errand = unsafe { &mut *hand.errand.get() };
        errand.spot = spot;
        errand.len = data.len().min(MOST);
        errand.data[..errand.len].copy_from_slice(&data[..errand.len]);
        hand.state.store(ASKED, Ordering::Release);
        set(&hand.asked);
        Some(Sent { hand, moment: Deadline::after(MOMENT) })
    }

    /// Waits until it is done or `deadline`; what came of it.
    pub(super) fn wait(&self, deadline: Deadline) -> Option<Answer> {
        loop {
            if self.hand.state.load(Ordering::Acquire) == DONE {
                // SAFETY: done: it is this thread's.
                return Some(unsafe { (*self.hand.errand.get()).answer });
            }
            if deadline.passed() || process_end::under_way() {
                return None;
            }
            let left = deadline.left().map_or(1000, |left| left.as_millis().min(1000) as u32 + 1);
            // SAFETY: an event that is never closed.
            unsafe { WaitForSingleObject(self.hand.done.load(Ordering::Relaxed), left) };
        }
    }

    /// Asks the system to end it, if it is under way.
    pub(super) fn cancel(&self) {
        if self.hand.state.load(Ordering::Acquire) == WRITING {
            // SAFETY: the hand's own thread, which does not leave while it is sent. Should it be done
            // meanwhile nothing is cancelled: it waits by no I/O.
            unsafe { CancelSynchronousIo(self.hand.thread.load(Ordering::Relaxed)) };
            self.wait(Deadline::after(CANCEL));
        }
    }

    /// Gives up on it. `Some` is what certainly came of it; else nobody will know.
    pub(super) fn give_up(self) -> Option<Answer> {
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
        if !hand.pass(ASKED, REVOKED) && !hand.pass(WRITING, ABANDONED) && hand.pass(DONE, IDLE) {
            // SeqCst: as in `Hand::rest`, which it may have left for its sleep meanwhile.
            if WANTED.load(Ordering::SeqCst) == 0 {
                set(&hand.asked);
            }
        }
    }
}

/// Whether a hand can be sent: one that has to be made first cannot begin everywhere.
pub(super) fn can_be_sent() -> bool {
    process_end::threads_can_begin_and_end()
}

/// Writes all of `data` to a descriptor, waiting for room until `deadline`, and not much longer.
///
/// # Errors
/// As `sink::write_all`.
pub(super) fn write_all_in_time(
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
                if super::wait_for_room(&[], deadline).is_err() {
                    return Some(Err(late()));
                }
            }
            Err(refused) => return Some(Err(refused.error_at(fd))),
        }
    }
    Some(Ok(()))
}

impl Hand {
    const fn new() -> Hand {
        let errand = Errand { spot: Spot::STDERR, data: [0; MOST], len: 0, answer: Ok(0) };
        Hand {
            state: AtomicU32::new(NONE),
            asked: AtomicPtr::new(std::ptr::null_mut()),
            done: AtomicPtr::new(std::ptr::null_mut()),
            thread: AtomicPtr::new(std::ptr::null_mut()),
            errand: UnsafeCell::new(errand),
        }
    }

    /// One step of the state, if it is where the step begins.
    fn pass(&self, from: u32, to: u32) -> bool {
        // SeqCst: it passes the errand on, and see `rest`.
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Makes it, taken; false if it is there already, or no thread is to be had.
    fn start(&'static self) -> bool {
        if !self.pass(NONE, TAKEN) {
            return false;
        }
        let started = can_be_sent()
            && event(&self.asked)
            && event(&self.done)
            && Sentinel::start(c"rtfinalize-hand", Runs::OwnCode, &Arc::new(self), Hand::run)
                .is_some();
        if !started {
            self.state.store(NONE, Ordering::SeqCst);
        }
        started
    }

    fn run(hand: &&'static Hand, _: &Bell) {
        let mut thread: HANDLE = std::ptr::null_mut();
        // SAFETY: a second handle of this thread's, closed below.
        unsafe {
            let (process, this) = (GetCurrentProcess(), GetCurrentThread());
            DuplicateHandle(process, this, process, &mut thread, 0, 0, DUPLICATE_SAME_ACCESS);
        }
        hand.thread.store(thread, Ordering::Relaxed);
        while hand.rest() {
            hand.serve();
        }
        hand.thread.store(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: nobody cancels what a hand does that is leaving.
        unsafe { CloseHandle(thread) };
        hand.state.store(NONE, Ordering::SeqCst);
    }

    /// Sleeps until there is an errand; false if it shall leave.
    fn rest(&self) -> bool {
        loop {
            match self.state.load(Ordering::SeqCst) {
                ASKED | REVOKED => return true,
                // SeqCst: the hand is idle and then asks whether it is wanted; who wants it no more says
                // so and then looks for idle ones.
                IDLE if WANTED.load(Ordering::SeqCst) == 0 && self.pass(IDLE, LEAVING) => {
                    return false;
                }
                // SAFETY: an event that is never closed.
                _ => unsafe {
                    WaitForSingleObject(self.asked.load(Ordering::Relaxed), u32::MAX);
                },
            }
        }
    }

    fn serve(&self) {
        let may_write =
            || self.pass(ASKED, WRITING) || self.state.load(Ordering::SeqCst) == WRITING;
        // SAFETY: asked: the errand is the hand's.
        let errand = unsafe { &mut *self.errand.get() };
        errand.answer = errand.spot.write(&errand.data[..errand.len], &may_write);
        // One that was refused before the first byte was offered is done like any other.
        if self.pass(WRITING, DONE) || self.pass(ASKED, DONE) {
            set(&self.done);
        } else {
            self.state.store(IDLE, Ordering::SeqCst);
        }
    }
}

/// Makes an event that wakes one, once; it stays for the hand's next life.
fn event(at: &AtomicPtr<c_void>) -> bool {
    if at.load(Ordering::Relaxed).is_null() {
        // SAFETY: no name, no attributes.
        let event = unsafe { CreateEventW(std::ptr::null(), 0, 0, std::ptr::null()) };
        at.store(event, Ordering::Relaxed);
    }
    !at.load(Ordering::Relaxed).is_null()
}

fn set(event: &AtomicPtr<c_void>) {
    // SAFETY: an event that is never closed.
    unsafe { SetEvent(event.load(Ordering::Relaxed)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finalize::finalize;
    use crate::runtime::Runtime;
    use crate::sink::{Descriptor, Handle, Sink};
    use crate::sync::now;
    use crate::writer::{Writer, WriterOptions};
    use windows_sys::Win32::Storage::FileSystem::ReadFile;
    use windows_sys::Win32::System::Pipes::CreatePipe;

    /// The ends of a pipe, to read and to write.
    fn pipe() -> (Handle, Handle) {
        let (mut out, mut into) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: handles of this test's own.
        assert_ne!(unsafe { CreatePipe(&mut out, &mut into, std::ptr::null(), ROOM) }, 0);
        (Handle(out), Handle(into))
    }

    /// One with no room: taken for something whose room cannot be asked, a write to it waits in the system.
    fn full_pipe() -> (Handle, Handle) {
        let (out, into) = pipe();
        let full = Descriptor::unasked(into).write(&[b'.'; ROOM as usize]);
        assert_eq!(full, Ok(ROOM as usize));
        (out, into)
    }

    const ROOM: u32 = 4096;

    fn read(out: Handle, count: usize) -> Vec<u8> {
        let mut data = vec![0; count];
        let mut got = 0;
        while got < count {
            let mut now = 0;
            // SAFETY: writes to what is left of the data.
            let read = unsafe {
                let rest = &mut data[got..];
                ReadFile(
                    out.0,
                    rest.as_mut_ptr(),
                    rest.len() as u32,
                    &mut now,
                    std::ptr::null_mut(),
                )
            };
            assert_ne!(read, 0);
            got += now as usize;
        }
        data
    }

    #[test]
    fn a_write_that_waits_for_somebody_else_is_left_in_time_and_tells_its_outcome_later() {
        let (out, into) = full_pipe();
        let descriptor = Descriptor::unasked(into);
        let began = now();
        assert_eq!(descriptor.write_in_time(b"later"), Err(Refused::UnderWay));
        assert!(crate::sync::elapsed(began) < Duration::from_secs(10));
        assert_eq!(read(out, ROOM as usize), [b'.'; ROOM as usize]);
        assert_eq!(read(out, 5), b"later");
        while descriptor.outcome() == Some(Err(Refused::UnderWay)) {}
        assert_eq!(descriptor.outcome(), None);
    }

    #[test]
    fn a_finalization_ends_beside_a_write_that_does_not_and_its_bytes_are_in_flight() {
        let (out, into) = full_pipe();
        let runtime = Runtime::new("beside");
        let sink = Sink::Descriptor(Descriptor::unasked(into));
        let options = WriterOptions { name: "stuck".into(), ..WriterOptions::default() };
        let writer = Writer::new(&runtime, sink, options).unwrap();
        writer.write(b"once", Deadline::NEVER).unwrap();
        runtime.grace().refill(50_000);
        let began = now();
        let report = finalize(&runtime).unwrap().report().clone();
        assert!(crate::sync::elapsed(began) < Duration::from_secs(20));
        let stuck = report.destinations.iter().find(|it| it.name == "stuck").unwrap();
        assert_eq!((stuck.accepted, stuck.written, stuck.in_flight), (4, 0, 4));
        assert_eq!(read(out, ROOM as usize), [b'.'; ROOM as usize]);
        // Cancelled, or a moment before: nobody writes them again.
        assert_eq!(writer.account().in_flight, 4);
    }

    #[test]
    fn who_gives_up_before_the_first_byte_is_offered_knows_that_none_will_be() {
        let (out, into) = pipe();
        let hand = &ROW[HANDS - 1];
        assert!(hand.pass(NONE, TAKEN), "nobody sends as many");
        // SAFETY: taken.
        let errand = unsafe { &mut *hand.errand.get() };
        (errand.spot, errand.len) = (Descriptor::unasked(into).spot, 5);
        errand.data[..5].copy_from_slice(b"never");
        hand.state.store(ASKED, Ordering::SeqCst);
        let sent = Sent { hand, moment: Deadline::after_us(0) };
        assert_eq!(sent.wait(Deadline::after_us(0)), None);
        sent.cancel();
        assert_eq!(sent.give_up(), Some(Err(Refused::WouldBlock)));
        hand.serve();
        assert_eq!(hand.state.load(Ordering::SeqCst), IDLE);
        hand.state.store(NONE, Ordering::SeqCst);
        assert_eq!(Descriptor::unasked(into).write(b"after"), Ok(5));
        assert_eq!(read(out, 5), b"after");
    }

    #[test]
    fn hands_that_nobody_wants_leave() {
        let wanted = Wanted::new();
        wanted.keep(1);
        let kept = || ROW[0].state.load(Ordering::SeqCst);
        assert_ne!(kept(), NONE);
        drop(wanted);
        // Other tests' finalizations want them, too, for a while.
        while kept() != NONE {
            std::thread::yield_now();
        }
    }
}
