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
//! touches nobody's memory but its own, and writes by a handle of its own: the number of the one it was
//! given may be another file's when the system gets to it.
//!
//! Hands stand in a fixed row with their buffers. To send one that waits already takes no lock and
//! no memory, so the last word of a process may: some are kept for it alone.

mod request;
mod reserve;

use super::{Refused, Spot};
use crate::sync::helper::{Helper, Runs, Waker};
use crate::sync::{Arc, AtomicPtr, AtomicU32, Ordering};
use crate::sys::process_end;
use libc::c_void;
pub(crate) use request::Crew;
pub(super) use request::{Sent, write_all_in_time};
use reserve::WANTED;
pub(crate) use reserve::Wanted;
use std::cell::UnsafeCell;
use std::time::Duration;
use windows_sys::Win32::Foundation::{CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE};
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, GetCurrentThread, SetEvent, WaitForSingleObject,
};

/// The most one errand carries.
pub const MOST: usize = 32 * 1024;

/// How long a write that nothing is in the way of may take, on a machine that is busy.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

/// How long one stays that has nothing to do and that no finalization wants.
const LINGER: Duration = Duration::from_secs(1);

/// Hands kept for the watch and the last word.
pub const KEPT: usize = 4;

/// Where those end that a host's own calls may send: all of them stuck keep no finalization.
const HOSTS: usize = 12;

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

struct Errand {
    spot: Spot,
    /// It is to be closed, and not written.
    closes: bool,
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

/// Whether a hand can be sent: one that has to be made first cannot begin everywhere.
pub(super) fn can_be_sent() -> bool {
    process_end::threads_can_begin_and_end()
}

impl Hand {
    const fn new() -> Hand {
        let errand =
            Errand { spot: Spot::STDERR, closes: false, data: [0; MOST], len: 0, answer: Ok(0) };
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
            && Helper::start(c"rtfinalize-hand", Runs::OwnCode, &Arc::new(self), Hand::run)
                .is_some();
        if !started {
            self.state.store(NONE, Ordering::SeqCst);
        }
        started
    }

    fn run(hand: &&'static Hand, _: &Waker) {
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
        let mut rested = false;
        loop {
            match self.state.load(Ordering::SeqCst) {
                ASKED | REVOKED => return true,
                // SeqCst: the hand is idle and then asks whether it is wanted; who wants it no more says
                // so and then looks for idle ones.
                IDLE if rested
                    && WANTED.load(Ordering::SeqCst) == 0
                    && self.pass(IDLE, LEAVING) =>
                {
                    return false;
                }
                _ => {
                    let span = LINGER.as_millis() as u32;
                    // SAFETY: an event that is never closed.
                    unsafe { WaitForSingleObject(self.asked.load(Ordering::Relaxed), span) };
                    rested = true;
                }
            }
        }
    }

    fn serve(&self) {
        let may_write =
            || self.pass(ASKED, WRITING) || self.state.load(Ordering::SeqCst) == WRITING;
        // SAFETY: asked: the errand is the hand's.
        let errand = unsafe { &mut *self.errand.get() };
        errand.answer = if !errand.closes {
            errand.spot.write_by_own_handle(&errand.data[..errand.len], &may_write)
        } else if may_write() {
            // SAFETY: who sent it may close it, and does so by this errand alone.
            unsafe { errand.spot.close() }.map(|()| 0)
        } else {
            Err(Refused::WouldBlock)
        };
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
    use crate::io::{Descriptor, Handle, Sink};
    use crate::runtime::Runtime;
    use crate::runtime::writer::{Writer, WriterOptions};
    use crate::status::{Result, Status};
    use crate::sync::{Deadline, Mutex, now};
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
        let _alone = ALONE.lock();
        let (out, into) = full_pipe();
        let descriptor = Descriptor::unasked(into);
        let began = now();
        assert_eq!(descriptor.write_in_time(Crew::Host, b"later"), Err(Refused::UnderWay));
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
        // Cancelled, or a moment before: nobody writes them again, or hears that none was taken.
        assert_eq!((writer.account().in_flight, writer.sink().outcome()), (4, None));
    }

    /// One of these tests takes all hands that a host may send.
    static ALONE: Mutex<()> = Mutex::new(());

    /// A writer of the host's over a pipe with no room that cannot be asked for it.
    fn stuck(capacity: usize, owns_descriptor: bool) -> (Handle, Arc<Runtime>, Arc<Writer>) {
        let (out, into) = full_pipe();
        let runtime = Runtime::new("timed");
        let sink = Sink::Descriptor(Descriptor::unasked(into));
        let options =
            WriterOptions { name: "timed".into(), capacity, owns_descriptor, ..Default::default() };
        let writer = Writer::new(&runtime, sink, options).unwrap();
        (out, runtime, writer)
    }

    /// What it answers, in time.
    fn in_time(call: impl FnOnce() -> Result<()>) -> Option<Status> {
        let began = now();
        let answer = call().err().map(|error| error.status());
        assert!(crate::sync::elapsed(began) < Duration::from_secs(10));
        answer
    }

    fn accepted_written_in_flight(writer: &Writer) -> (u64, u64, u64) {
        let account = writer.account();
        (account.accepted, account.written, account.in_flight)
    }

    #[test]
    fn a_flush_with_a_deadline_returns_by_it_and_its_bytes_arrive_once_and_in_order() {
        let _alone = ALONE.lock();
        let (out, _runtime, writer) = stuck(64, false);
        writer.write(b"once", Deadline::NEVER).unwrap();
        for timeout in [0, 1000, 0] {
            let deadline = Deadline::after_us(timeout);
            assert_eq!(in_time(|| writer.flush(deadline)), Some(Status::Timeout));
            assert_eq!(accepted_written_in_flight(&writer), (4, 0, 4));
        }
        // Beside it records are accepted as before.
        assert_eq!(in_time(|| writer.write(b"more", Deadline::after_us(0))), None);
        assert_eq!(read(out, ROOM as usize), [b'.'; ROOM as usize]);
        assert_eq!(read(out, 4), b"once");
        writer.flush(Deadline::NEVER).unwrap();
        assert_eq!(read(out, 4), b"more");
        assert_eq!(accepted_written_in_flight(&writer), (8, 8, 0));
        assert_eq!(in_time(|| writer.close(Deadline::after_us(0))), None);
    }

    #[test]
    fn a_record_with_a_deadline_is_taken_whole_or_refused_whole_beside_a_write_that_waits() {
        let _alone = ALONE.lock();
        let (out, _runtime, writer) = stuck(4, false);
        // Larger than the buffer, which is empty: it grows.
        assert_eq!(in_time(|| writer.write(b"0123456789", Deadline::after_us(0))), None);
        let refused = in_time(|| writer.write(b"refused!", Deadline::after_us(0)));
        assert_eq!(refused, Some(Status::Timeout));
        assert_eq!(accepted_written_in_flight(&writer), (10, 0, 10));
        let other = writer.clone();
        let waits = std::thread::spawn(move || other.write(b"abcdefgh", Deadline::NEVER));
        assert_eq!(read(out, ROOM as usize), [b'.'; ROOM as usize]);
        assert_eq!(read(out, 18), b"0123456789abcdefgh");
        waits.join().unwrap().unwrap();
        writer.flush(Deadline::after_us(5_000_000)).unwrap();
        assert_eq!(accepted_written_in_flight(&writer), (18, 18, 0));
    }

    #[test]
    fn who_abandons_a_write_that_has_not_returned_hears_what_may_be_lost() {
        let _alone = ALONE.lock();
        let (out, runtime, writer) = stuck(64, true);
        writer.write(b"lost", Deadline::NEVER).unwrap();
        assert_eq!(in_time(|| writer.flush(Deadline::after_us(0))), Some(Status::Timeout));
        let mut lost = 0;
        // Time to close it in.
        let deadline = Deadline::after_us(5_000_000);
        assert_eq!(in_time(|| writer.abandon(deadline, &mut lost)), None);
        assert_eq!(lost, 4);
        let report = finalize(&runtime).unwrap().report().clone();
        assert_eq!(report.destinations[0].unwritten + report.destinations[0].in_flight, 4);
        assert_eq!(read(out, ROOM as usize), [b'.'; ROOM as usize]);
        // Cancelled, and no handle of the pipe's other end is left open.
        let mut got = 0;
        // SAFETY: writes to one byte of this frame's.
        let more = unsafe { ReadFile(out.0, [0].as_mut_ptr(), 1, &mut got, std::ptr::null_mut()) };
        assert_eq!((more, got), (0, 0));
    }

    #[test]
    fn a_handle_that_cannot_be_closed_in_time_is_left_open_and_in_the_ledger() {
        let _alone = ALONE.lock();
        let (_out, runtime, writer) = stuck(64, true);
        // As if each were in a close that waits.
        let hands = &ROW[KEPT..HOSTS];
        let before = hands.iter().map(|hand| {
            loop {
                match [NONE, IDLE].into_iter().find(|state| hand.pass(*state, TAKEN)) {
                    Some(state) => break state,
                    None => std::thread::yield_now(),
                }
            }
        });
        let before: Vec<_> = before.collect();
        assert_eq!(in_time(|| writer.close(Deadline::after_us(0))), Some(Status::Io));
        for (hand, state) in hands.iter().zip(before) {
            hand.state.store(state, Ordering::SeqCst);
        }
        assert!(writer.is_closed());
        let report = finalize(&runtime).unwrap().report().clone();
        assert_eq!(report.leaks.len(), 1);
        assert!(report.leaks[0].reason.contains("closed in time"), "{:?}", report.leaks);
    }

    #[test]
    fn a_device_is_offered_no_more_at_once_than_a_console_takes() {
        let (mut out, mut into) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: as above.
        assert_ne!(unsafe { CreatePipe(&mut out, &mut into, std::ptr::null(), 1 << 17) }, 0);
        assert_eq!(Descriptor::unasked(Handle(into)).write(&[0; 1 << 16]), Ok(1 << 15));
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
}
