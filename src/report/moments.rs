//! Where on the time axis of a report those things belong that have no time of their own.

use super::{Report, Span};
use crate::phase::Phase;
use crate::report::ledger::LeakKind;
use crate::sync::Arc;

/// When a span ends.
pub(super) fn end(span: Span) -> u64 {
    span.start_us.saturating_add(span.us)
}

/// When `phase` ended for the last time; the end of it all if it did not run.
pub(super) fn end_of(report: &Report, phase: Phase) -> u64 {
    let spans = report.phase(phase).map_or(&[][..], |record| &record.spans);
    spans.iter().map(|&span| end(span)).max().unwrap_or(report.total_us)
}

/// When the last of its phases ended, and no earlier than the whole.
pub(super) fn end_of_all(report: &Report) -> u64 {
    let spans = report.phases.iter().flat_map(|record| &record.spans);
    spans.map(|&span| end(span)).fold(report.total_us, u64::max)
}

/// The phase that finds leaks of this kind.
pub(super) fn phase_of_leak(kind: LeakKind) -> Phase {
    match kind {
        LeakKind::Overlapped => Phase::Overlapped,
        LeakKind::Writer => Phase::FlushLate,
        LeakKind::ThreadState => Phase::Reclaim,
        LeakKind::Child => Phase::Children,
        LeakKind::Object | LeakKind::Host => Phase::Dealloc,
    }
}

/// When a child began, on the time axis of `report`; with the phase if nobody knows. Below zero if another thread
/// was finalizing it already.
pub(super) fn start_of(report: &Report, child: &Arc<Report>) -> i64 {
    report.start_of(child).unwrap_or_else(|| {
        let phase = report.phase(Phase::Children);
        let span = phase.and_then(|record| record.spans.first());
        span.map_or(0, |span| i64::try_from(span.start_us).unwrap_or(i64::MAX))
    })
}
