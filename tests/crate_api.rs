//! The core as a Rust crate, without its C layer.

use rtfinalize::Deadline;
use rtfinalize::finalize::{Finalized, finalize, finalize_with};
use rtfinalize::phase::Phase;
use rtfinalize::runtime::Runtime;
use rtfinalize::runtime::attachment::{Attachment, Policy, ThreadOptions};
use rtfinalize::runtime::options::Options;
use rtfinalize::runtime::writer::{Writer, WriterOptions};
use rtfinalize::status::Status;
use rtfinalize::thread::host_call::{HostCall, ObjectCalls};
use std::io::{PipeWriter, Read, pipe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

mod pipes;

fn writer_to(runtime: &Arc<Runtime>, end: &PipeWriter, name: &str) -> Arc<Writer> {
    let options = WriterOptions { name: name.into(), ..WriterOptions::default() };
    Writer::new(runtime, pipes::sink_of(end), options).unwrap()
}

#[test]
fn closures_run_last_in_first_out_and_the_phases_in_their_order() {
    let runtime = Runtime::new("order");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |what: String| {
        let seen = seen.clone();
        HostCall::from_closure(move || {
            seen.lock().unwrap().push(what.clone());
            0
        })
    };
    for name in ["first", "second"] {
        runtime.at_exit(name, note(name.to_owned())).unwrap();
    }
    for phase in Phase::ALL {
        runtime.add_handler(phase, 1, phase.name(), note(phase.name().to_owned())).unwrap();
    }
    let report = finalize(&runtime).unwrap().report().clone();
    assert_eq!(report.status, Status::Ok);
    let seen = seen.lock().unwrap().join(" ");
    let expected = "guards threads pending second first atexit guards threads pending atexit children \
                    flush-early freeze flush-frozen finalize flush-late dealloc overlapped reclaim \
                    exit-functions";
    assert_eq!(seen, expected);
    assert_eq!(report.passes, 2);
}

#[test]
fn a_panicking_closure_is_counted_and_the_rest_still_run() {
    let runtime = Runtime::new("panics");
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = ran.clone();
    runtime
        .at_exit(
            "counts",
            HostCall::from_closure(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                0
            }),
        )
        .unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    runtime.at_exit("panics", HostCall::from_closure(|| panic!("on purpose"))).unwrap();
    let report = finalize(&runtime).unwrap().report().clone();
    std::panic::set_hook(hook);
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    assert_eq!(report.status, Status::Incomplete);
    assert_eq!(report.failures.len(), 1);
    assert_eq!((&*report.failures[0].name, &*report.failures[0].how), ("panics", "panicked"));
}

#[test]
fn a_callback_dropped_unregistered_drops_its_closure() {
    let runtime = Runtime::new("drops");
    let alive = Arc::new(());
    let held = alive.clone();
    let id = runtime
        .at_exit(
            "holds",
            HostCall::from_closure(move || {
                let _ = &held;
                0
            }),
        )
        .unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    runtime.unregister(id).unwrap();
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(runtime.unregister(id).unwrap_err().status(), Status::NotFound);
}

#[test]
fn finalizing_flushes_what_writers_accepted() {
    let runtime = Runtime::new("flushes");
    let (mut reader, end) = pipe().unwrap();
    let writer = writer_to(&runtime, &end, "log");
    writer.write(b"one ", Deadline::NEVER).unwrap();
    let late = writer.clone();
    runtime
        .add_handler(
            Phase::Finalize,
            0,
            "writes",
            HostCall::from_closure(move || {
                -i32::from(late.write(b"two", Deadline::NEVER).is_err())
            }),
        )
        .unwrap();
    let report = finalize(&runtime).unwrap().report().clone();
    drop(end);
    let mut arrived = String::new();
    reader.read_to_string(&mut arrived).unwrap();
    assert_eq!(arrived, "one two");
    assert_eq!(report.status, Status::Ok);
    assert_eq!(report.destinations.len(), 1);
    assert_eq!((report.destinations[0].accepted, report.destinations[0].written), (7, 7));
    assert_eq!(writer.write(b"x", Deadline::NEVER).unwrap_err().status(), Status::Finalizing);
}

#[test]
fn a_second_finalization_does_nothing_and_a_new_life_begins_empty() {
    let runtime = Runtime::new("twice");
    assert!(matches!(finalize(&runtime).unwrap(), Finalized::Now(_)));
    assert!(matches!(finalize(&runtime).unwrap(), Finalized::Before(_)));
    let again = runtime.initialise_again().unwrap();
    assert_eq!(runtime.initialise_again().err().unwrap().status(), Status::State);
    assert!(matches!(finalize(&again).unwrap(), Finalized::Now(_)));
    again.discard().unwrap();
}

#[test]
fn a_thread_with_the_error_policy_is_turned_away_and_named_no_runaway() {
    let runtime = Runtime::new("turned-away");
    let (entered, is_in) = mpsc::channel();
    let inside = runtime.clone();
    let thread = std::thread::spawn(move || {
        let policy = Policy::Error;
        let options = ThreadOptions { daemon: true, policy, ..ThreadOptions::default() };
        let attachment = Attachment::attach(&inside, options).unwrap();
        attachment.enter().unwrap();
        entered.send(()).unwrap();
        let refused = loop {
            if let Err(error) = attachment.checkpoint() {
                break error.status();
            }
            std::hint::spin_loop();
        };
        attachment.detach().unwrap();
        refused
    });
    is_in.recv().unwrap();
    let options = Options { deadline_us: 30_000_000, ..runtime.options() };
    let report = finalize_with(&runtime, options).unwrap().report().clone();
    assert_eq!(thread.join().unwrap(), Status::Finalizing);
    assert_eq!(report.runaways, Vec::<String>::new());
}

#[test]
fn an_object_is_finalized_and_deallocated_with_its_runtime() {
    unsafe extern "C-unwind" fn finalize(arg: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the counter below outlives the finalization.
        unsafe { &*arg.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
        0
    }
    unsafe extern "C-unwind" fn dealloc(arg: *mut libc::c_void) -> libc::c_int {
        // SAFETY: as above.
        unsafe { &*arg.cast::<AtomicUsize>() }.fetch_add(10, Ordering::Relaxed);
        0
    }
    let counter = AtomicUsize::new(0);
    let arg = std::ptr::from_ref(&counter).cast_mut().cast();
    // SAFETY: both may be called with `arg` from this thread, which finalizes.
    let calls = unsafe { ObjectCalls::from_c(Some(finalize), Some(dealloc), arg) };
    let runtime = Runtime::new("objects");
    let (first, second) =
        (runtime.track("first", calls).unwrap(), runtime.track("second", calls).unwrap());
    runtime.depend(first, second).unwrap();
    assert_eq!(runtime.depend(second, first).unwrap_err().status(), Status::Cycle);
    assert_eq!(runtime.dispose(first).unwrap(), Status::Ok);
    assert_eq!(counter.load(Ordering::Relaxed), 11);
    let report = rtfinalize::finalize::finalize(&runtime).unwrap().report().clone();
    assert_eq!(counter.load(Ordering::Relaxed), 22);
    assert_eq!(report.phase(Phase::Finalize).unwrap().work, 1);
}

#[test]
fn what_threads_share_may_be_shared_and_sent() {
    fn both<T: Send + Sync>() {}
    both::<Runtime>();
    both::<Writer>();
    both::<Attachment>();
    both::<HostCall>();
    both::<rtfinalize::report::Report>();
    both::<rtfinalize::runtime::events::Listener>();
}
