//! Why a runtime cannot be initialised again: what its finalization left behind may still use it.
//!
//! All but the rare reason repeats what the report lists already, with more to say of it; so whoever
//! shows the lists has the number of each for a reason ([`Hindrances`]).

use super::{Continuation, Report};
use crate::report::ledger::Leak;
use std::collections::HashMap;

pub(crate) fn by_leak(leak: &Leak) -> String {
    format!("{} '{}' was leaked: {}", leak.kind.name(), leak.name, leak.reason)
}

pub(crate) fn by_runaway(who: &str) -> String {
    format!("{who} still runs inside")
}

pub(crate) fn by_guard(guard: &str) -> String {
    format!("{guard}, was never closed")
}

pub(crate) fn by_handler(name: &str) -> String {
    format!("handler '{name}', which was not waited for, still runs")
}

/// A reason of `child`, as it is its parent's.
pub(crate) fn by_child(child: &Report, why: &str) -> String {
    format!("of child '{}': {why}", child.runtime)
}

/// What kind of thing hinders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    Leak,
    Runaway,
    Guard,
    Handler,
}

/// The reasons of a report, those that its lists tell by their number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hindrances<'a> {
    leaks: u64,
    runaways: u64,
    guards: u64,
    handlers: u64,
    /// What no list tells.
    pub others: Vec<&'a str>,
}

impl Hindrances<'_> {
    pub(crate) fn of(report: &Report) -> Hindrances<'_> {
        let listed = listed(report);
        let mut found = Hindrances::default();
        for reason in &report.not_restartable {
            match listed.get(reason) {
                Some(Hindrance::Leak) => found.leaks += 1,
                Some(Hindrance::Runaway) => found.runaways += 1,
                Some(Hindrance::Guard) => found.guards += 1,
                Some(Hindrance::Handler) => found.handlers += 1,
                None => found.others.push(reason),
            }
        }
        found
    }

    /// Those that other lists tell, with how many there are of each: what they are, and what they still do.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (u64, &'static str, &'static str)> {
        let listed = [
            (self.leaks, "leaks", ""),
            (self.runaways, "threads", " still inside"),
            (self.guards, "guards", " still open"),
            (self.handlers, "handlers", " still running"),
        ];
        listed.into_iter().filter(|(count, ..)| *count > 0)
    }
}

/// The reasons that the lists of `report` and of its children amount to.
fn listed(report: &Report) -> HashMap<String, Hindrance> {
    let mut listed = HashMap::new();
    for child in &report.children {
        let of_child = |(why, kind): (String, _)| (by_child(child, &why), kind);
        listed.extend(self::listed(child).into_iter().map(of_child));
    }
    listed.extend(report.leaks.iter().map(|leak| (by_leak(leak), Hindrance::Leak)));
    for who in &report.runaways {
        listed.insert(by_runaway(who), Hindrance::Runaway);
        listed.insert(by_guard(who), Hindrance::Guard);
    }
    let running = report.continued.iter().filter(|c| c.state == Continuation::Running);
    listed.extend(running.map(|c| (by_handler(&c.name), Hindrance::Handler)));
    listed
}
