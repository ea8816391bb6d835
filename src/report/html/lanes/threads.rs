//! A lane for each thread that the host spoke of: when it ran, waited, was stopped, and ended.

use super::super::super::{Report, Stretch, ThreadRecord, ThreadState};
use super::super::markup::{Hint, Markup, Number, Sentence};
use super::super::verdict::WORTH_NAMING;
use super::LANES;
use super::lane::{Axis, Bar, Look};
use std::cmp::Reverse;

pub fn threads(m: &mut Markup<'_>, axis: &Axis, report: &Report) {
    let shown = shown(report);
    if shown.is_empty() {
        return;
    }
    axis.group(m, "What each thread did", "and where it was, as often as the host looked");
    for thread in &shown {
        lane(m, axis, thread);
    }
    let left_out = report.threads.len() - shown.len();
    axis.more(m, left_out.saturating_add(usize::try_from(report.more_threads).unwrap_or(0)));
}

/// All; or of many the first, which is the one that the host looked at first, those that something was waited for
/// because of, and those that ran longest.
fn shown(report: &Report) -> Vec<&ThreadRecord> {
    let mut shown: Vec<_> = report.threads.iter().enumerate().collect();
    if shown.len() > LANES {
        let long = report.blocked.iter().filter(|b| b.us >= report.total_us / WORTH_NAMING);
        let long: Vec<_> = long.collect();
        let is_named = |thread: &ThreadRecord| long.iter().any(|b| b.what.contains(&thread.name));
        shown.sort_by_cached_key(|(at, thread)| {
            let is_first = *at == 0 || is_named(thread);
            (
                !is_first,
                Reverse(thread.us_in(ThreadState::Running)),
                Reverse(thread.active_us()),
                *at,
            )
        });
        shown.truncate(LANES);
        shown.sort_by_key(|(at, _)| *at);
    }
    shown.into_iter().map(|(_, thread)| thread).collect()
}

fn lane(m: &mut Markup<'_>, axis: &Axis, thread: &ThreadRecord) {
    let bars: Vec<_> = thread.stretches.iter().map(bar).collect();
    let note = |m: &mut Markup<'_>| {
        // Where it spent most of the time before it was stopped; of one that was stopped at once, where that was.
        let active = thread.stretches.iter().filter(|one| one.state != ThreadState::Stopped);
        let longest = active.max_by_key(|one| one.span.us).or_else(|| thread.stretches.first());
        if let Some(longest) = longest {
            m.put(format_args!("{}", Sentence(&longest.what)));
        }
        if thread.more > 0 {
            m.put(format_args!(" · and {} more changes", Number(thread.more)));
        }
    };
    let (who, hint) = (Sentence(&thread.name), Hint(&thread.name));
    let hints = |at: usize| thread.stretches[at].what.as_str();
    axis.told_lane(m, (format_args!("{who}"), format_args!("{hint}")), None, note, &bars, hints);
}

const fn bar(stretch: &Stretch) -> Bar {
    let look = match stretch.state {
        ThreadState::Running => Look::Run,
        ThreadState::Waiting => Look::Waits,
        ThreadState::Stopped | ThreadState::Ended => Look::Stopped,
    };
    Bar { span: stretch.span, look }
}
