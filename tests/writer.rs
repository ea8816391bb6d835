//! The writer over a destination whose every raw write waits for the test's word.

use rtfinalize::Deadline;
use rtfinalize::finalize::finalize_with;
use rtfinalize::io::{Callbacks, Sink};
use rtfinalize::report::Destination;
use rtfinalize::runtime::Runtime;
use rtfinalize::runtime::options::Options;
use rtfinalize::runtime::writer::{Writer, WriterOptions};
use rtfinalize::status::{Result, Status};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Says that a raw write began, and takes what it is told to; no word is no room.
struct Slow {
    began: Sender<()>,
    takes: Receiver<i64>,
}

unsafe extern "C-unwind" fn slow_write(arg: *mut c_void, _: *const c_void, _: usize) -> i64 {
    // SAFETY: the `Slow` of the test, which outlives the writer; one raw write at a time.
    let slow = unsafe { &*arg.cast::<Slow>() };
    slow.began.send(()).expect("the test listens");
    slow.takes.recv().unwrap_or(0)
}

fn open(runtime: &Arc<Runtime>, slow: &mut Slow, capacity: usize) -> Result<Arc<Writer>> {
    let arg = std::ptr::from_mut(slow).cast();
    // SAFETY: the function takes what `arg` is, and both outlive the writer.
    let sink = Sink::Callbacks(unsafe { Callbacks::new(slow_write, None, None, arg) });
    Writer::new(runtime, sink, WriterOptions { capacity, ..WriterOptions::default() })
}

#[test]
fn a_record_is_accepted_when_the_destination_takes_enough_for_it_and_no_more() {
    let runtime = Runtime::new("room");
    let (began, _has_begun) = channel();
    let (take, takes) = channel();
    let mut slow = Slow { began, takes };
    let writer = open(&runtime, &mut slow, 8).unwrap();
    writer.write(b"01234567", Deadline::NEVER).unwrap();
    take.send(4).unwrap();
    drop(take);
    writer.write(b"abc", Deadline::NEVER).unwrap();
    let account = writer.account();
    assert_eq!((account.accepted, account.written, account.unwritten), (11, 4, 7));
    let refused = writer.write(b"de", Deadline::NEVER).map_err(|error| error.status());
    assert_eq!(refused, Err(Status::WouldBlock));
}

/// Writes a record past a buffer of 4 bytes, finalizes while its raw write is under way, and then lets
/// the destination take `taken`: what the report said, what the writer's caller got, the account after.
fn finalize_under_a_direct_write(
    record: &'static [u8],
    taken: i64,
) -> (Destination, std::result::Result<(), Status>, Destination) {
    let runtime = Runtime::new("seal");
    let (began, has_begun) = channel();
    let (take, takes) = channel();
    let mut slow = Slow { began, takes };
    let writer = open(&runtime, &mut slow, 4).unwrap();
    std::thread::scope(|threads| {
        // It is not attached: nothing stops it, and it learns what became of its record.
        let write = || writer.write(record, Deadline::NEVER).map_err(|error| error.status());
        let caller = threads.spawn(write);
        has_begun.recv().unwrap();
        let options = Options { grace_us: 0, ..runtime.options() };
        let report = finalize_with(&runtime, options).unwrap().report().clone();
        take.send(taken).unwrap();
        (report.destinations[0].clone(), caller.join().unwrap(), writer.account())
    })
}

#[test]
fn a_record_taken_whole_after_the_seal_was_in_flight_and_is_accepted() {
    let (reported, answer, after) = finalize_under_a_direct_write(b"0123456789", 10);
    assert_eq!((reported.accepted, reported.in_flight, reported.unwritten), (10, 10, 0));
    assert_eq!(answer, Ok(()));
    assert_eq!((after.accepted, after.written, after.in_flight), (10, 10, 0));
}

#[test]
fn a_record_taken_in_part_after_the_seal_was_in_flight_and_its_rest_is_refused() {
    let (reported, answer, after) = finalize_under_a_direct_write(b"0123456789", 7);
    assert_eq!((reported.accepted, reported.in_flight, reported.unwritten), (10, 10, 0));
    assert_eq!(answer, Err(Status::Finalizing));
    assert_eq!((after.accepted, after.written, after.unwritten), (7, 7, 0));
}
