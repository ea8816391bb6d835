//! A page for a browser where memory is short: it is refused, and the process goes on.

#[path = "report/reports.rs"]
#[allow(dead_code)]
mod reports;

use reports::{family, leak, rich};
use rtfinalize::report::ledger::LeakKind;
use rtfinalize::report::{Report, to_html};
use rtfinalize::status::Status;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Gives a thread no more than it says, if it says so.
struct Limited;

thread_local! {
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static LEAST: Cell<usize> = const { Cell::new(usize::MAX) };
}

// SAFETY: the system's allocator, or a refusal.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(left) = LEFT.get() {
            let Some(rest) = left.checked_sub(layout.size()) else { return std::ptr::null_mut() };
            LEFT.set(Some(rest));
            LEAST.set(LEAST.get().min(rest));
        }
        // SAFETY: by this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LEFT.set(LEFT.get().map(|left| left + layout.size()));
        // SAFETY: by this function's own contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static LIMITED: Limited = Limited;

/// The page, made with so much memory at most; and how much of it was in use at once.
fn made_with(limit: usize, report: &Report) -> (Result<usize, Status>, usize) {
    LEAST.set(limit);
    LEFT.set(Some(limit));
    let page = to_html(report).map(|page| page.len()).map_err(|error| error.status());
    LEFT.set(None);
    (page, limit - LEAST.get())
}

fn large() -> Report {
    let mut report = rich();
    for n in 0..3_000 {
        report.leaks.push(leak(LeakKind::Object, &format!("object {n}"), 8, "it may be touched"));
        report.runaways.push(format!("thread {n}"));
        report.not_restartable.push(format!("reason {n}"));
    }
    report
}

#[test]
fn page_is_refused_without_enough_memory_and_never_ends_the_process() {
    for report in [rich(), family(), large()] {
        let (page, most) = made_with(1 << 30, &report);
        assert!(page.is_ok());
        let mut refused = 0;
        for limit in (0..most).step_by(most / 400 + 1) {
            let (page, _) = made_with(limit, &report);
            refused += usize::from(page == Err(Status::NoMemory));
            assert!(page.is_ok() || page == Err(Status::NoMemory), "{limit}: {page:?}");
        }
        assert!(refused > 300, "{refused}");
    }
}

#[test]
fn page_takes_little_more_memory_than_it_has_bytes() {
    let (page, most) = made_with(1 << 30, &rich());
    let size = page.expect("memory");
    // Whether there is room for small objects, too, is asked by a larger block on Windows.
    let asked_beside = if cfg!(windows) { 64 * 1024 } else { 0 };
    assert!(most < 2 * size + asked_beside, "{most} for {size} bytes");
}
