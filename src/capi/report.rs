//! Reports, as C reads them.

use super::boundary::{boundary_in_dealloc_too, give, give_text, give_versioned};
use super::handle::{Pinned, Table};
use super::rt_status;
use crate::report::{Form, Report, TextStyle, write_to_reader};
use crate::status::{Result, Status};
use crate::sync::Arc;
use crate::text::Shown;
use libc::{c_char, c_int};
use std::ffi::CString;

/// The account of one finalization.
pub enum rt_report {}

impl rt_report {
    /// The account behind a handle: for a host in Rust that finalizes through code in C.
    ///
    /// # Errors
    /// `Null`, `Handle`.
    pub fn account(handle: *const rt_report) -> Result<Arc<Report>> {
        Ok(report_of(handle)?.report.clone())
    }
}

/// A report with its names as C strings, which live as long as its handle.
pub(super) struct ReportObject {
    pub(super) report: Arc<Report>,
    runtime: CString,
    unreported: CString,
    destinations: Vec<(CString, CString)>,
    leaks: Vec<(CString, CString)>,
    pub(super) violations: Vec<(CString, CString)>,
    /// The handlers that were left out, then those that were not waited for.
    pub(super) left: Vec<(CString, CString)>,
}

pub(super) static REPORTS: Table<ReportObject> = Table::new(0x0a3b_c6e5);

impl ReportObject {
    /// Gives it a handle.
    pub(super) fn handle(report: Arc<Report>) -> Result<usize> {
        crate::sys::memory::spare(report.size())?;
        REPORTS.insert(Arc::new(ReportObject::new(report)))
    }

    fn new(report: Arc<Report>) -> ReportObject {
        // Names are as they were given, and words for a person as they are shown.
        let shown = |words: &str| c_string(&Shown(words).to_string());
        let pair = |name: &str, words: &str| (c_string(name), shown(words));
        let skipped = report.skipped.iter().map(|skipped| pair(&skipped.name, ""));
        let continued = report.continued.iter().map(|c| pair(&c.name, &c.how));
        ReportObject {
            runtime: c_string(&report.runtime),
            unreported: shown(&report.unreported),
            destinations: report.destinations.iter().map(|d| pair(&d.name, &d.reason)).collect(),
            leaks: report.leaks.iter().map(|l| pair(&l.name, &l.reason)).collect(),
            violations: report.violations.iter().map(|v| pair(&v.object, &v.call)).collect(),
            left: skipped.chain(continued).collect(),
            report,
        }
    }
}

/// A name cannot hold a NUL when it came from C; one from Rust is cut there.
fn c_string(text: &str) -> CString {
    let whole = text.split('\0').next().unwrap_or_default();
    CString::new(whole).unwrap_or_default()
}

pub(super) fn report_of(report: *const rt_report) -> Result<Pinned<ReportObject>> {
    REPORTS.pin(report.addr())
}

/// Says that this process is one of several with the same settings, such as the child of a `fork` or a worker that its
/// parent has started: its reports do not overwrite one another's. The file that `RTFINALIZE_REPORT` or its like names
/// gets the number of the process in its name (`end-4711.json` for `end.json`), unless its path has `%p`; a text begins
/// with the number.
///
/// Thread: any. Stage: before finalization begins; later it may have no effect. Signal handler: safe.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_number_reports() {
    crate::report::number_reports();
}

/// For a person: a table with a bar per phase, then what needs attention.
pub const RT_REPORT_TEXT: u32 = 1;
/// For a program: one JSON object.
pub const RT_REPORT_JSON: u32 = 2;
/// A Chrome trace, for Perfetto or speedscope.
pub const RT_REPORT_TRACE: u32 = 3;
/// For a person with a browser: one page that needs no file beside it, no network and no script.
pub const RT_REPORT_HTML: u32 = 4;

/// The numbers of a report. They are the runtime's own: what its children have is in their reports.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_report_summary {
    /// `sizeof(rt_report_summary)`.
    pub struct_size: usize,
    /// `RT_OK`, or `RT_ERR_INCOMPLETE`, also if a child's is.
    pub status: rt_status,
    /// How often the passes before `children` went round.
    pub passes: u32,
    /// How long it took, in microseconds.
    pub total_us: u64,
    /// Bytes that certainly did not arrive, over all destinations.
    pub unwritten: u64,
    /// Bytes in raw writes that have not returned: they may or may not arrive.
    pub in_flight: u64,
    /// Bytes taken over from owners that will never run again.
    pub recovered: u64,
    /// How many destinations `rt_report_get_destination` knows.
    pub destinations: u64,
    /// How many deliberate leaks `rt_report_get_leak` knows.
    pub leaks: u64,
    /// How many callbacks and handlers failed.
    pub failures: u64,
    /// How many threads still ran inside after the freeze, and guards were still open.
    pub runaways: u64,
    /// How many threads ended without detaching.
    pub undetached: u64,
    /// How many calls were refused for coming too late.
    pub late_calls: u64,
    /// 1 if the runtime can be initialised again without risk, else 0.
    pub restartable: u32,
    /// 0.
    pub reserved: u32,
    /// How many reports of children `rt_report_child` knows.
    pub children: u64,
    /// How many of them are incomplete.
    pub children_incomplete: u64,
    /// How many tracked objects their finalize brought back to life.
    pub resurrected: u64,
    /// How many calls were refused for coming from inside a dealloc callback;
    /// `rt_report_get_violation` tells which.
    pub violations: u64,
    /// How many failures, waits and leaks are in no list, for there was no memory to note them.
    pub unnoted: u64,
}

const SUMMARY_FIRST_VERSION: usize = std::mem::offset_of!(rt_report_summary, children);

/// What became of one writer's bytes. `accepted == written + unwritten + in_flight`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_report_destination {
    /// `sizeof(rt_report_destination)`.
    pub struct_size: usize,
    /// The writer's name; lives as long as the report.
    pub name: *const c_char,
    /// Why bytes were not written, or empty; lives as long as the report.
    pub reason: *const c_char,
    /// Bytes accepted over the writer's life.
    pub accepted: u64,
    /// Bytes the destination took over the writer's life.
    pub written: u64,
    /// Of these, bytes written by finalization.
    pub flushed: u64,
    /// Bytes taken over from an owner that will never run again.
    pub recovered: u64,
    /// Bytes that certainly did not arrive.
    pub unwritten: u64,
    /// Bytes in a raw write that has not returned.
    pub in_flight: u64,
    /// Bytes that were in the buffer when a `fork` made this process: the parent's, and in no other
    /// number here.
    pub left_to_parent: u64,
}

pub(super) const DESTINATION_FIRST_VERSION: usize =
    std::mem::offset_of!(rt_report_destination, left_to_parent);

/// An in-flight operation with its buffers.
pub const RT_LEAK_OVERLAPPED: u32 = 1;
/// A writer's buffer; on Windows also its handle, of no bytes, that could not be closed in time.
pub const RT_LEAK_WRITER: u32 = 2;
/// A thread's host state.
pub const RT_LEAK_THREAD_STATE: u32 = 3;
/// A child runtime that was not finalized with its parent.
pub const RT_LEAK_CHILD: u32 = 4;
/// Tracked objects of one name, which a thread may still touch.
pub const RT_LEAK_OBJECT: u32 = 5;
/// Something of the host's own (`rt_note_leak`).
pub const RT_LEAK_HOST: u32 = 6;

/// One deliberate leak.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_report_leak {
    /// `sizeof(rt_report_leak)`.
    pub struct_size: usize,
    /// One of `RT_LEAK_*`.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// Whose it is; lives as long as the report.
    pub name: *const c_char,
    /// Why it was kept; lives as long as the report.
    pub reason: *const c_char,
    /// How much memory of the library's it keeps; 0 where only the host knows.
    pub bytes: u64,
}

const LEAK_FIRST_VERSION: usize = size_of::<rt_report_leak>();

/// Fills `*summary`. Set `summary->struct_size` before the call.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_STRUCT_SIZE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_get_summary(
    report: *const rt_report,
    summary: *mut rt_report_summary,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let report = &object.report;
        let sum = |field: fn(&crate::report::Destination) -> u64| {
            total(report.destinations.iter().map(field))
        };
        let value = rt_report_summary {
            struct_size: 0,
            status: report.status as rt_status,
            passes: report.passes,
            total_us: report.total_us,
            unwritten: sum(|d| d.unwritten),
            in_flight: sum(|d| d.in_flight),
            recovered: sum(|d| d.recovered),
            destinations: report.destinations.len() as u64,
            leaks: report.leaks.len() as u64,
            failures: report.failures.len() as u64,
            runaways: report.runaways.len() as u64,
            undetached: report.undetached.len() as u64,
            late_calls: report.late_calls,
            restartable: report.not_restartable.is_empty().into(),
            reserved: 0,
            children: report.children.len() as u64,
            children_incomplete: report.incomplete_children() as u64,
            resurrected: total(report.resurrected.iter().map(|r| r.count)),
            violations: total(report.violations.iter().map(|v| v.count)),
            unnoted: report.unnoted,
        };
        // SAFETY: by the header.
        unsafe { give_versioned(summary, value, SUMMARY_FIRST_VERSION)? };
        Ok(Status::Ok)
    })
}

fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// How long a phase took in all its passes, in microseconds; -1 if it did not run, or a negative status
/// below that.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns a time, or -1; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_report_phase_us(report: *const rt_report, phase: u32) -> i64 {
    let mut us = -1;
    let status = boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let record = object.report.phases.iter().find(|record| record.phase as u32 == phase);
        us = record.map_or(-1, |record| i64::try_from(record.us()).unwrap_or(i64::MAX));
        Ok(Status::Ok)
    });
    if status < 0 { status.into() } else { us }
}

/// Fills `*destination` with the account of destination number `index`, from 0. Set
/// `destination->struct_size` before the call.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
/// `RT_ERR_STRUCT_SIZE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_get_destination(
    report: *const rt_report,
    index: usize,
    destination: *mut rt_report_destination,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let numbers = object.report.destinations.get(index);
        let numbers = numbers.ok_or_else(|| Status::NotFound.because("no such destination"))?;
        let (name, reason) = &object.destinations[index];
        let value = rt_report_destination {
            struct_size: 0,
            name: name.as_ptr(),
            reason: reason.as_ptr(),
            accepted: numbers.accepted,
            written: numbers.written,
            flushed: numbers.flushed,
            recovered: numbers.recovered,
            unwritten: numbers.unwritten,
            in_flight: numbers.in_flight,
            left_to_parent: numbers.left_to_parent,
        };
        // SAFETY: by the header.
        unsafe { give_versioned(destination, value, DESTINATION_FIRST_VERSION)? };
        Ok(Status::Ok)
    })
}

/// Fills `*leak` with entry number `index` of the ledger, from 0. Set `leak->struct_size` before the
/// call.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
/// `RT_ERR_STRUCT_SIZE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_get_leak(
    report: *const rt_report,
    index: usize,
    leak: *mut rt_report_leak,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let entry = object.report.leaks.get(index);
        let entry = entry.ok_or_else(|| Status::NotFound.because("no such leak"))?;
        let (name, reason) = &object.leaks[index];
        let value = rt_report_leak {
            struct_size: 0,
            kind: entry.kind as u32,
            reserved: 0,
            name: name.as_ptr(),
            reason: reason.as_ptr(),
            bytes: entry.bytes,
        };
        // SAFETY: by the header.
        unsafe { give_versioned(leak, value, LEAK_FIRST_VERSION)? };
        Ok(Status::Ok)
    })
}

/// Stores in `*child` the report of child number `index`, from 0 in the order in which they ended:
/// of those that were finalized in the course of this runtime's finalization, whichever thread did
/// it. It is the host's, beside the parent's report: free it with `rt_report_free`, in any order.
/// After an error `*child` is NULL.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
/// `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_child(
    report: *const rt_report,
    index: usize,
    child: *mut *mut rt_report,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        give(child, std::ptr::null_mut())?;
        let object = report_of(report)?;
        let nested = object.report.children.get(index);
        let nested = nested.ok_or_else(|| Status::NotFound.because("no such child"))?;
        let handle = ReportObject::handle(nested.clone())?;
        give(child, std::ptr::without_provenance_mut(handle))?;
        Ok(Status::Ok)
    })
}

/// Stores in `*name` the name of the runtime the report is about; it lives as long as the report.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_runtime(
    report: *const rt_report,
    name: *mut *const c_char,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        give(name, object.runtime.as_ptr())?;
        Ok(Status::Ok)
    })
}

/// Stores in `*why` why the report could not be written to where `RTFINALIZE_REPORT` has it, in a
/// sentence that names the place. The text is empty if the report was written, or nobody asked for that;
/// it lives as long as the report.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_unreported(
    report: *const rt_report,
    why: *mut *const c_char,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        give(why, object.unreported.as_ptr())?;
        Ok(Status::Ok)
    })
}

/// Renders a report into a buffer of `size` bytes, as a C string.
///
/// `form` is one of `RT_REPORT_*`. `*needed` (may be NULL) gets the size of the whole, its NUL included:
/// call with `buffer` NULL and `size` 0 to learn it. What does not fit is cut, and the buffer is a C
/// string all the same.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_SIZE` if it was cut; `RT_ERR_INVALID` (no such form), `RT_ERR_HANDLE`,
/// `RT_ERR_NULL`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rt_report_format(
    report: *const rt_report,
    form: u32,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let text = form_of(form)?.render(&object.report, TextStyle::plain())?;
        give_text(&text, buffer, size, needed)
    })
}

/// Writes a report to a descriptor; text with bars and colours if it is a terminal.
///
/// `form` is one of `RT_REPORT_*`. Whoever reads it may take his time, but not stop: after 5 s in which
/// nothing was taken the call gives up, with a part of the report written (on Windows 5 s after it began).
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_IO`, `RT_ERR_BAD_DESCRIPTOR`, `RT_ERR_TIMEOUT`; `RT_ERR_INVALID` (no such
/// form), `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_NO_MEMORY`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_report_write(
    report: *const rt_report,
    form: u32,
    fd: c_int,
) -> rt_status {
    boundary_in_dealloc_too(|| {
        let object = report_of(report)?;
        let form = form_of(form)?;
        let _shield = crate::sys::cancellation::Shield::up();
        write_to_reader(&object.report, form, fd)?;
        Ok(Status::Ok)
    })
}

fn form_of(form: u32) -> Result<Form> {
    Form::from_number(form)
        .ok_or_else(|| Status::Invalid.because(format!("there is no report form {form}")))
}

/// Frees a report, its handle and the names it gave out. NULL does nothing.
///
/// Thread: any. Stage: any. Signal handler: limited.
///
/// Returns `RT_OK`; `RT_ERR_HANDLE`.
///
/// CPython: none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rt_report_free(report: *mut rt_report) -> rt_status {
    boundary_in_dealloc_too(|| {
        if report.is_null() {
            return Ok(Status::Ok);
        }
        Pinned::close(&report_of(report)?);
        Ok(Status::Ok)
    })
}
