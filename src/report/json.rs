//! The report as JSON, and the small JSON writer the trace shares: the library's dependencies stay
//! few, and all it must get right is escaping and commas.

use super::{
    Blocked, Continued, Destination, Failure, HandlerRun, PhaseRecord, Report, Resurrected,
    Skipped, Span, Stretch, TakenOver, ThreadRecord, Violation,
};
use crate::phase::Phase;
use crate::report::ledger::Leak;
use crate::status::Status;
use crate::text::is_unprintable;
use std::fmt::Write;

/// The version of the form: it grows when a field changes its meaning or goes, not when one comes.
const VERSION: u32 = 1;

/// The report as one JSON object on one line, without a newline at its end.
///
/// It has every field of [`Report`] under its own name, but for `began`, which means nothing to another
/// process. Added are what a script would otherwise compute: a phase's `us` over all its spans,
/// `missing_bytes` and `restartable`. Each of `children` is an object of the same form, with its
/// `start_us` on the time axis of the one it is in; null if nobody knows.
pub fn to_json(report: &Report) -> String {
    let mut out = String::new();
    report.write(&mut out);
    out
}

impl Value for Report {
    fn write(&self, out: &mut String) {
        object(out, |o| fields(o, self));
    }
}

fn fields(o: &mut Fields<'_>, report: &Report) {
    o.field("rtfinalize_report", &VERSION);
    o.field("runtime", &report.runtime);
    o.field("status", &report.status);
    o.field("total_us", &report.total_us);
    o.field("deadline_us", &report.deadline_us);
    o.field("passes", &report.passes);
    o.field("phases", &report.phases);
    o.field("blocked", &report.blocked);
    o.field("failures", &report.failures);
    o.field("skipped", &report.skipped);
    o.field("continued", &report.continued);
    o.field("taken_over", &report.taken_over);
    o.field("more_taken_over", &report.more_taken_over);
    o.field("stopped", &report.stopped);
    o.field("threads", &report.threads);
    o.field("more_threads", &report.more_threads);
    o.field("runaways", &report.runaways);
    o.field("undetached", &report.undetached);
    o.field("destinations", &report.destinations);
    o.field("missing_bytes", &report.missing_bytes());
    o.field("leaks", &report.leaks);
    o.field("resurrected", &report.resurrected);
    o.field("violations", &report.violations);
    o.field("late_calls", &report.late_calls);
    o.field("restartable", &report.not_restartable.is_empty());
    o.array("children", |items| {
        for child in &report.children {
            items.object(|o| {
                o.field("start_us", &report.start_of(child));
                fields(o, child);
            });
        }
    });
    o.field("not_restartable", &report.not_restartable);
    o.field("unnoted", &report.unnoted);
    o.field("unreported", &report.unreported);
}

impl Value for Status {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("code", &(*self as i32));
            o.field("name", &format!("{self:?}"));
            o.field("text", self.text().trim_end_matches('\0'));
        });
    }
}

impl Value for Phase {
    fn write(&self, out: &mut String) {
        self.name().write(out);
    }
}

impl Value for PhaseRecord {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("name", &self.phase);
            o.field("us", &self.us());
            o.field("spans", &self.spans);
            o.field("work", &self.work);
            o.field("unit", self.phase.unit());
            o.field("budget_us", &self.budget_us);
            o.field("overran", &self.overran);
            o.field("handlers", &self.handlers);
            o.field("callbacks", &self.callbacks);
        });
    }
}

impl Value for Span {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("start_us", &self.start_us);
            o.field("us", &self.us);
        });
    }
}

impl Value for HandlerRun {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("name", &self.name);
            o.field("start_us", &self.span.start_us);
            o.field("us", &self.span.us);
        });
    }
}

impl Value for Blocked {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("phase", &self.phase);
            o.field("what", &self.what);
            o.field("start_us", &self.start_us);
            o.field("us", &self.us);
            o.field("outcome", &self.outcome);
        });
    }
}

impl Value for Failure {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("phase", &self.phase);
            o.field("name", &self.name);
            o.field("how", &self.how);
        });
    }
}

impl Value for Skipped {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("phase", &self.phase);
            o.field("name", &self.name);
        });
    }
}

impl Value for Continued {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("phase", &self.phase);
            o.field("name", &self.name);
            o.field("state", self.state.name());
            o.field("start_us", &self.start_us);
            o.field("us", &self.us);
            o.field("how", &self.how);
        });
    }
}

impl Value for TakenOver {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("at_us", &self.at_us);
            o.field("what", &self.what);
        });
    }
}

impl Value for ThreadRecord {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("name", &self.name);
            o.field("stretches", &self.stretches);
            o.field("more", &self.more);
        });
    }
}

impl Value for Stretch {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("state", self.state.name());
            o.field("what", &self.what);
            o.field("start_us", &self.span.start_us);
            o.field("us", &self.span.us);
        });
    }
}

impl Value for Destination {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("name", &self.name);
            o.field("accepted", &self.accepted);
            o.field("written", &self.written);
            o.field("flushed", &self.flushed);
            o.field("recovered", &self.recovered);
            o.field("unwritten", &self.unwritten);
            o.field("in_flight", &self.in_flight);
            o.field("left_to_parent", &self.left_to_parent);
            o.field("reason", &self.reason);
        });
    }
}

impl Value for Leak {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("kind", self.kind.name());
            o.field("name", &self.name);
            o.field("bytes", &self.bytes);
            o.field("reason", &self.reason);
        });
    }
}

impl Value for Resurrected {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("object", &self.object);
            o.field("count", &self.count);
        });
    }
}

impl Value for Violation {
    fn write(&self, out: &mut String) {
        object(out, |o| {
            o.field("object", &self.object);
            o.field("call", &self.call);
            o.field("count", &self.count);
        });
    }
}

/// What can be written as JSON.
pub(super) trait Value {
    /// Appends it to `out`.
    fn write(&self, out: &mut String);
}

/// Appends an object with the fields `fill` gives it.
pub(super) fn object(out: &mut String, fill: impl FnOnce(&mut Fields<'_>)) {
    out.push('{');
    fill(&mut Fields { out, first: true });
    out.push('}');
}

/// The inside of an object.
pub(super) struct Fields<'a> {
    out: &'a mut String,
    first: bool,
}

impl Fields<'_> {
    /// Appends a field.
    pub(super) fn field(&mut self, name: &str, value: &(impl Value + ?Sized)) {
        value.write(self.key(name));
    }

    /// Appends a field that is an object.
    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Fields<'_>)) {
        object(self.key(name), fill);
    }

    /// Appends a field that is an array.
    pub(super) fn array(&mut self, name: &str, fill: impl FnOnce(&mut Items<'_>)) {
        array(self.key(name), fill);
    }

    fn key(&mut self, name: &str) -> &mut String {
        separate(self.out, &mut self.first);
        name.write(self.out);
        self.out.push(':');
        self.out
    }
}

/// The inside of an array.
pub(super) struct Items<'a> {
    out: &'a mut String,
    first: bool,
}

impl Items<'_> {
    /// Appends an item that is an object.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Fields<'_>)) {
        separate(self.out, &mut self.first);
        object(self.out, fill);
    }

    fn item(&mut self, value: &impl Value) {
        separate(self.out, &mut self.first);
        value.write(self.out);
    }
}

fn array(out: &mut String, fill: impl FnOnce(&mut Items<'_>)) {
    out.push('[');
    fill(&mut Items { out, first: true });
    out.push(']');
}

fn separate(out: &mut String, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(',');
    }
}

impl Value for str {
    fn write(&self, out: &mut String) {
        out.push('"');
        for c in self.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                // JSON demands this below U+0020 only; the others would act on the terminal of
                // whoever prints the file.
                c if is_unprintable(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

impl Value for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

macro_rules! as_displayed {
    ($($type:ty)*) => { $(
        impl Value for $type {
            fn write(&self, out: &mut String) {
                let _ = write!(out, "{self}");
            }
        }
    )* };
}

as_displayed!(bool i32 i64 u32 u64);

impl<T: Value> Value for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, out: &mut String) {
        array(out, |items| self.iter().for_each(|value| items.item(value)));
    }
}

impl<T: Value> Value for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}
