//! What a trace viewer reads.

use crate::reports::{family, parsed, quiet, record, rich, span};
use rtfinalize::phase::Phase;
use rtfinalize::report::to_trace;
use serde_json::{Value, json};
use std::sync::Arc;

pub fn events(trace: &Value, category: &str) -> Vec<Value> {
    let all = trace["traceEvents"].as_array().expect("an array of events");
    all.iter().filter(|event| event["cat"] == category).cloned().collect()
}

#[test]
fn trace_names_its_track_and_spans_the_whole_finalization() {
    let trace = parsed(to_trace(&rich()));
    assert_eq!(trace["displayTimeUnit"], "ms");
    let name = |what: &str, name: &str| {
        let args = json!({ "name": name });
        json!({ "name": what, "ph": "M", "pid": 1, "tid": 1, "args": args })
    };
    assert_eq!(trace["traceEvents"][0], name("process_name", "main"));
    assert_eq!(trace["traceEvents"][1], name("thread_name", "finalization"));
    let expected = json!([{
        "name": "finalize main", "ph": "X", "pid": 1, "tid": 1, "cat": "finalization",
        "ts": 0, "dur": 2_100_000,
        "args": {
            "status": { "code": -61, "name": "Incomplete",
                "text": "finalized, but not everything could be done; the report says what" },
            "passes": 2, "deadline_us": 5_000_000, "missing_bytes": 4_608, "late_calls": 17,
            "undetached": ["pool-3 (thread 4713)"],
            "not_restartable": ["a runaway may still use the runtime"],
        },
    }]);
    assert_eq!(json!(events(&trace, "finalization")), expected);
}

#[test]
fn trace_has_a_track_for_each_thread_with_what_it_did() {
    let trace = parsed(to_trace(&rich()));
    let all = trace["traceEvents"].as_array().expect("an array of events");
    let named = |event: &&Value| event["name"] == "thread_name" && event["tid"] == 3;
    let name = &all.iter().find(named).expect("a name")["args"]["name"];
    assert_eq!(name, "daemon thread 'sync'");
    let did = events(&trace, "thread");
    let expected = json!({ "name": "in read of descriptor 3", "ph": "X", "pid": 1, "tid": 3, "cat": "thread",
        "ts": 1_200_000, "dur": 300_000, "args": { "state": "waiting" } });
    assert_eq!((did.len(), &did[2]), (4, &expected));
    assert_eq!(did[3]["name"], "stopped", "what it did where nothing is said of that");
}

#[test]
fn trace_has_an_event_for_each_run_of_a_phase_and_counts_its_work_once() {
    let phases = events(&parsed(to_trace(&rich())), "phase");
    assert_eq!(phases.len(), 9);
    let event = |name: &str, ts: u64, dur: u64, args: Value| {
        json!({ "name": name, "ph": "X", "pid": 1, "tid": 1, "cat": "phase", "ts": ts, "dur": dur,
                "args": args })
    };
    let blocked = json!([{ "phase": "guards", "what": "guard 'grpc-poller' of thread 4711",
        "start_us": 900, "us": 1_199_000, "outcome": "dropped" }]);
    let args = json!({ "pass": 1, "work": 1, "unit": "guards", "budget_us": null, "overran": false,
        "blocked": blocked });
    assert_eq!(phases[0], event("guards", 0, 1_200_000, args));
    assert_eq!(phases[1], event("guards", 1_250_000, 12, json!({ "pass": 2 })));
    assert_eq!(phases[2]["args"]["failures"][0]["name"], "save_history");
    assert_eq!(phases[4]["args"]["budget_us"], 500_000);
    assert_eq!(phases[4]["args"]["overran"], true);
    let args = json!({ "work": 70_000, "unit": "bytes", "budget_us": null, "overran": false });
    assert_eq!(phases[5], event("flush-frozen", 1_802_000, 98_000, args));
}

#[test]
fn trace_nests_every_handler_in_its_phase_and_every_phase_in_the_whole() {
    let mut report = rich();
    report.total_us = 1; // Less than its phases took: what a viewer gets must nest even so.
    let trace = parsed(to_trace(&report));
    let range = |event: &Value| {
        let ts = event["ts"].as_u64().expect("a time");
        ts..=ts + event["dur"].as_u64().expect("a duration")
    };
    let within = |inner: &Value, outer: &Value| {
        range(outer).contains(range(inner).start()) && range(outer).contains(range(inner).end())
    };
    let (whole, phases) = (&events(&trace, "finalization")[0], events(&trace, "phase"));
    let handlers = events(&trace, "handler");
    assert!(phases.iter().all(|phase| within(phase, whole)));
    assert!(handlers.iter().all(|handler| within(handler, &phases[6])));
    assert_eq!(handlers[0]["name"], "clear modules");
    assert_eq!(handlers[0]["dur"], 20_000);
    assert_eq!(handlers[1]["dur"], 10_000);
}

#[test]
fn trace_marks_runaways_and_leaks_where_they_were_found() {
    let trace = parsed(to_trace(&rich()));
    let instant = |cat: &str, name: &str, ts: u64, args: Value| {
        json!({ "name": name, "ph": "i", "pid": 1, "tid": 1, "cat": cat, "s": "t", "ts": ts,
                "args": args })
    };
    let name = "worker (thread 4712)";
    let expected =
        instant("runaway", &format!("runaway: {name}"), 1_802_000, json!({ "name": name }));
    assert_eq!(events(&trace, "runaway"), [expected]);
    let leaks = events(&trace, "leak");
    let args = json!({ "kind": "overlapped operation", "name": "pipe-read", "bytes": 65_536,
        "reason": "the kernel still writes to it" });
    assert_eq!(leaks[0], instant("leak", "leak: pipe-read", 2_090_000, args));
    assert_eq!(leaks[1]["ts"], 2_090_700);
    assert_eq!(leaks[1]["args"]["bytes"], 0);
}

#[test]
fn trace_marks_resurrections_and_calls_from_dealloc_where_they_happened() {
    let trace = parsed(to_trace(&rich()));
    let resurrected = &events(&trace, "resurrected")[0];
    assert_eq!(resurrected["name"], "resurrected: session");
    assert_eq!(resurrected["ts"], 1_930_000, "the end of the finalize phase");
    assert_eq!(resurrected["args"], json!({ "object": "session", "count": 2 }));
    let violations = events(&trace, "violation");
    assert_eq!(violations[1]["name"], "in dealloc: rt_thread_enter");
    let args = json!({ "object": "socket", "call": "rt_thread_enter", "count": 12 });
    assert_eq!(violations[1]["args"], args);
}

#[test]
fn trace_keeps_what_belongs_to_a_phase_that_has_no_record() {
    let mut report = rich();
    report.phases.clear();
    let whole = &events(&parsed(to_trace(&report)), "finalization")[0];
    assert_eq!(whole["args"]["blocked"].as_array().map(Vec::len), Some(2));
    assert_eq!(whole["args"]["failures"].as_array().map(Vec::len), Some(1));
}

#[test]
fn trace_gives_each_child_a_process_of_its_own_on_one_time_axis() {
    let trace = parsed(to_trace(&family()));
    let names: Vec<_> = events_named(&trace, "process_name");
    let named = |pid: u32, name: &str| (json!(pid), json!(name));
    assert_eq!(names, [named(1, "main"), named(2, "web"), named(3, "inner"), named(4, "pool")]);
    let wholes = events(&trace, "finalization");
    let starts: Vec<_> = wholes.iter().map(|e| (e["pid"].clone(), e["ts"].clone())).collect();
    let at = |pid: u32, ts: u32| (json!(pid), json!(ts));
    assert_eq!(starts, [at(1, 300), at(2, 0), at(3, 100), at(4, 300)]);
    let phase = events(&trace, "phase").into_iter().find(|e| e["pid"] == 3).expect("a phase");
    assert_eq!(phase["ts"], 100);
}

#[test]
fn trace_puts_a_child_of_unknown_start_into_the_children_phase() {
    let mut report = quiet();
    report.phases.push(record(Phase::Children, &[span(700, 90)], 1));
    report.children = vec![Arc::new(quiet())];
    let wholes = events(&parsed(to_trace(&report)), "finalization");
    assert_eq!(wholes[1]["ts"], 700);
}

fn events_named(trace: &Value, name: &str) -> Vec<(Value, Value)> {
    let all = trace["traceEvents"].as_array().expect("events").iter();
    let named = all.filter(|event| event["name"] == name);
    named.map(|event| (event["pid"].clone(), event["args"]["name"].clone())).collect()
}
