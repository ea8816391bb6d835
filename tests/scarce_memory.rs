//! What a host registers is dropped with nothing locked, also when it is refused for want of memory: the drop of a
//! closure is host code, and may call the library.

use rtfinalize::phase::Phase;
use rtfinalize::runtime::Runtime;
use rtfinalize::runtime::events::Listener;
use rtfinalize::status::{Result, Status};
use rtfinalize::thread::host_call::HostCall;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// No list grows on a thread that says so.
struct Scarce;

thread_local! {
    static NOTHING_GROWS: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: the system's allocator, or a refusal.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: by this function's own contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if NOTHING_GROWS.get() && size > layout.size() {
            return std::ptr::null_mut();
        }
        // SAFETY: by this function's own contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static SCARCE: Scarce = Scarce;

/// Calls the library when it is dropped, and counts that.
struct Caller(Arc<Runtime>, Arc<AtomicU32>);

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.0.unregister(u64::MAX);
        self.0.configure(|options| options.max_passes += 1);
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Does `work` on a thread of its own, which must come to its end.
fn bounded(work: impl FnOnce() + Send + 'static) {
    let (ended, end) = channel();
    let thread = std::thread::spawn(move || {
        work();
        ended.send(()).unwrap();
    });
    if end.recv_timeout(Duration::from_secs(60)).is_err() {
        assert!(thread.is_finished(), "it waits for a lock that it has itself");
    }
    thread.join().unwrap();
}

fn is_dropped_unlocked(register: fn(&Runtime, HostCall) -> Result<u64>) {
    bounded(move || {
        let (runtime, dropped) = (Runtime::new("scarce"), Arc::new(AtomicU32::new(0)));
        let mut registered = 0;
        loop {
            let caller = Caller(runtime.clone(), dropped.clone());
            let call = HostCall::from_closure(move || i32::from(Arc::strong_count(&caller.1) == 0));
            NOTHING_GROWS.set(registered > 0);
            let answer = register(&runtime, call);
            NOTHING_GROWS.set(false);
            match answer {
                Ok(_) => registered += 1,
                Err(error) => {
                    assert_eq!(error.status(), Status::NoMemory);
                    break;
                }
            }
        }
        assert!(registered > 0);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_refused_exit_callback_is_dropped_with_nothing_locked() {
    is_dropped_unlocked(|runtime, call| runtime.at_exit("refused", call));
}

#[test]
fn a_refused_exit_function_is_dropped_with_nothing_locked() {
    is_dropped_unlocked(|runtime, call| runtime.on_exit("refused", call));
}

#[test]
fn a_refused_pending_call_is_dropped_with_nothing_locked() {
    is_dropped_unlocked(|runtime, call| runtime.add_pending("refused", call));
}

#[test]
fn what_comes_too_late_is_dropped_with_nothing_locked() {
    bounded(|| {
        let (runtime, dropped) = (Runtime::new("late"), Arc::new(AtomicU32::new(0)));
        rtfinalize::finalize::finalize(&runtime).unwrap();
        let call = || {
            let caller = Caller(runtime.clone(), dropped.clone());
            HostCall::from_closure(move || i32::from(Arc::strong_count(&caller.1) == 0))
        };
        let late =
            |answer: Result<u64>| assert_eq!(answer.unwrap_err().status(), Status::Finalizing);
        late(runtime.at_exit("late", call()));
        late(runtime.on_exit("late", call()));
        late(runtime.add_pending("late", call()));
        late(runtime.add_handler(Phase::Finalize, 0, "late", call()));
        assert_eq!(dropped.load(Ordering::Relaxed), 4);
    });
}

#[test]
fn a_listener_that_another_replaces_is_dropped_with_nothing_locked() {
    bounded(|| {
        let (runtime, dropped) = (Runtime::new("listening"), Arc::new(AtomicU32::new(0)));
        let caller = Caller(runtime.clone(), dropped.clone());
        let former = Listener::new(move |_| i32::from(Arc::strong_count(&caller.1) == 0));
        runtime.configure(|options| options.on_event = Some(former));
        runtime.configure(|options| options.on_event = None);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}
