//! Which runs and waits share a lane, and which have none.

use super::super::super::moments::end_of;
use super::super::super::{Blocked, Continuation, Report, Span};
use super::lane::{Axis, Bar, Look};
use crate::phase::Phase;
use std::cmp::Reverse;
use std::collections::HashMap;

/// How many bars a lane has. What more there is, is in its time.
const BARS: usize = 100;

/// A handler or callback that ran, or something that was waited for.
pub struct Lane<'a> {
    pub phase: Phase,
    pub what: &'a str,
    /// What came of it.
    pub outcome: &'a str,
    /// How long it took in all.
    pub us: u64,
    pub bars: Vec<Bar>,
}

/// Lanes in the order of the first of each, and how many there is no room for.
pub struct Gathered<'a> {
    pub lanes: Vec<Lane<'a>>,
    pub left_out: usize,
}

/// Handlers and callbacks in their phases' order, those of one phase and name on one lane, then what was not waited
/// for. Of more than `most` the longest.
pub fn runs(report: &Report, most: usize) -> Gathered<'_> {
    let mut gathering = Gathering::default();
    for record in &report.phases {
        for run in record.handlers.iter().chain(&record.callbacks) {
            let bar = Bar { span: run.span, look: Look::Run };
            gathering.put((record.phase.index(), &run.name), record.phase, "", bar);
        }
    }
    for (at, continued) in report.continued.iter().enumerate() {
        let (look, outcome) = match continued.state {
            Continuation::Ended => (Look::Beside, ", not waited for: ended"),
            Continuation::Failed => (Look::BesideBad, ", not waited for: failed"),
            Continuation::Running => (Look::BesideBad, ", not waited for: still running"),
            Continuation::NotStarted => (Look::BesideBad, ", not started"),
        };
        let span = Span { start_us: continued.start_us, us: continued.us };
        // Each has a lane of its own.
        let key = (Phase::ALL.len() + at, continued.name.as_str());
        gathering.put(key, continued.phase, outcome, Bar { span, look });
    }
    gathering.longest(most)
}

/// What was waited for, all waits for the same on one lane. If it is still inside, the lane says so to its end. Of
/// more than `most` the longest.
pub fn waits<'a>(report: &'a Report, axis: &Axis, most: usize) -> Gathered<'a> {
    let mut gathering = Gathering::default();
    for blocked in &report.blocked {
        let well = [Blocked::CAME, Blocked::ENDED].contains(&blocked.outcome.as_str());
        let look = if well { Look::Waited } else { Look::GaveUp };
        let bar = Bar { span: Span { start_us: blocked.start_us, us: blocked.us }, look };
        gathering.put((0, &blocked.what), blocked.phase, &blocked.outcome, bar);
    }
    let mut gathered = gathering.longest(most);
    let frozen = end_of(report, Phase::Freeze);
    for lane in &mut gathered.lanes {
        if report.runaways.iter().any(|who| who == lane.what) {
            lane.bars.push(axis.rest(frozen, Look::Inside));
        }
    }
    gathered
}

#[derive(Default)]
struct Gathering<'a> {
    lanes: Vec<Lane<'a>>,
    known: HashMap<(usize, &'a str), usize>,
}

impl<'a> Gathering<'a> {
    /// Draws a bar on the lane of this kind and name; the last word on the lane is this one's.
    fn put(&mut self, key: (usize, &'a str), phase: Phase, outcome: &'a str, bar: Bar) {
        let at = *self.known.entry(key).or_insert(self.lanes.len());
        if at == self.lanes.len() {
            self.lanes.push(Lane { phase, what: key.1, outcome, us: 0, bars: Vec::new() });
        }
        let lane = &mut self.lanes[at];
        (lane.phase, lane.outcome) = (phase, outcome);
        lane.us = lane.us.saturating_add(bar.span.us);
        if lane.bars.len() < BARS {
            lane.bars.push(bar);
        }
    }

    fn longest(self, most: usize) -> Gathered<'a> {
        let mut lanes: Vec<_> = self.lanes.into_iter().enumerate().collect();
        let left_out = lanes.len().saturating_sub(most);
        if left_out > 0 {
            lanes.sort_by_key(|(at, lane)| (Reverse(lane.us), *at));
            lanes.truncate(most);
            lanes.sort_by_key(|(at, _)| *at);
        }
        Gathered { lanes: lanes.into_iter().map(|(_, lane)| lane).collect(), left_out }
    }
}
