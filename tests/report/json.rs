//! What a script reads.

use crate::reports::{family, hostile_names, named, parsed, quiet, rich};
use crate::trace::events;
use rtfinalize::report::{to_json, to_trace};
use serde_json::{Value, json};

#[test]
fn json_has_every_field_of_the_model() {
    let phase = |name: &str, spans: Value, us: u64, work: u64, unit: &str| {
        json!({ "name": name, "spans": spans, "us": us, "work": work, "unit": unit,
                "budget_us": null, "overran": false, "handlers": [], "callbacks": [] })
    };
    let run = |start_us: u64, us: u64| json!({ "start_us": start_us, "us": us });
    let twice_guards = json!([run(0, 1_200_000), run(1_250_000, 12)]);
    let twice_atexit = json!([run(1_200_000, 40_000), run(1_250_020, 9_000)]);
    let mut phases = vec![
        phase("guards", twice_guards, 1_200_012, 1, "guards"),
        phase("atexit", twice_atexit, 49_000, 12, "callbacks"),
        phase("freeze", json!([run(1_300_000, 502_000)]), 502_000, 3, "threads"),
        phase("flush-frozen", json!([run(1_802_000, 98_000)]), 98_000, 70_000, "bytes"),
        phase("finalize", json!([run(1_900_000, 30_000)]), 30_000, 1, "objects"),
        phase("overlapped", json!([run(1_930_000, 160_000)]), 160_000, 2, "operations"),
        phase("reclaim", json!([run(2_090_000, 700)]), 700, 2, "threads"),
    ];
    phases[1]["callbacks"] =
        json!([{ "name": "save_history", "start_us": 1_201_000, "us": 30_000 }]);
    phases[2]["budget_us"] = json!(500_000);
    phases[2]["overran"] = json!(true);
    phases[4]["handlers"] = json!([
        { "name": "clear modules", "start_us": 1_900_000, "us": 20_000 },
        { "name": "collect", "start_us": 1_920_000, "us": 10_001 },
    ]);
    let expected = json!({
        "rtfinalize_report": 1,
        "runtime": "main",
        "status": { "code": -61, "name": "Incomplete",
            "text": "finalized, but not everything could be done; the report says what" },
        "total_us": 2_100_000,
        "deadline_us": 5_000_000,
        "passes": 2,
        "phases": phases,
        "blocked": [
            { "phase": "guards", "what": "guard 'grpc-poller' of thread 4711", "start_us": 900,
              "us": 1_199_000, "outcome": "dropped" },
            { "phase": "freeze", "what": "thread 'worker' (thread 4712)", "start_us": 1_301_000,
              "us": 500_000, "outcome": "left a runaway" },
        ],
        "failures": [{ "phase": "atexit", "name": "save_history", "how": "returned -1" }],
        "skipped": [{ "phase": "finalize", "name": "warm cache" }],
        "continued": [
            { "phase": "atexit", "name": "send metrics", "state": "still running",
              "start_us": 1_210_000, "us": 2_500_000, "how": "" },
            { "phase": "atexit", "name": "ping", "state": "failed", "start_us": 1_210_000,
              "us": 1_500, "how": "returned -1" },
            { "phase": "atexit", "name": "trim", "state": "ended", "start_us": 1_210_000,
              "us": 700, "how": "returned 0" },
        ],
        "taken_over": [{ "at_us": 1_803_000,
            "what": "the lock of writer 'app.log', with 120 bytes, was taken over from thread 4714, \
                     which is parked for good" }],
        "more_taken_over": 2,
        "stopped": ["daemon thread 'logger' (thread 4714)"],
        "runaways": ["worker (thread 4712)"],
        "undetached": ["pool-3 (thread 4713)"],
        "destinations": [
            { "name": "app.log", "accepted": 90_000, "written": 85_392, "flushed": 70_000,
              "recovered": 120, "unwritten": 4_096, "in_flight": 512, "left_to_parent": 64,
              "reason": "no space left on device (ENOSPC)" },
            { "name": "stdout", "accepted": 0, "written": 0, "flushed": 0, "recovered": 1,
              "unwritten": 0, "in_flight": 0, "left_to_parent": 0, "reason": "" },
        ],
        "missing_bytes": 4_608,
        "leaks": [
            { "kind": "overlapped operation", "name": "pipe-read", "bytes": 65_536,
              "reason": "the kernel still writes to it" },
            { "kind": "thread state", "name": "worker", "bytes": 0,
              "reason": "its thread is still running" },
        ],
        "resurrected": [{ "object": "session", "count": 2 }],
        "violations": [
            { "object": "cursor", "call": "rt_writer_write", "count": 1 },
            { "object": "socket", "call": "rt_thread_enter", "count": 12 },
        ],
        "threads": [
            { "name": "main", "more": 0, "stretches": [
                { "state": "waiting", "what": "waiting for 'sync'", "start_us": 0, "us": 1_200_000 },
            ] },
            { "name": "daemon thread 'sync'", "more": 0, "stretches": [
                { "state": "running", "what": "in sync (app.py:12)", "start_us": 100, "us": 1_199_900 },
                { "state": "waiting", "what": "in read of descriptor 3", "start_us": 1_200_000, "us": 300_000 },
                { "state": "stopped", "what": "", "start_us": 1_500_000, "us": 600_000 },
            ] },
        ],
        "more_threads": 0,
        "late_calls": 17,
        "restartable": false,
        "children": [],
        "not_restartable": ["a runaway may still use the runtime"],
        "unnoted": 3,
        "unreported": "the report could not be written to r.json: Is a directory",
    });
    assert_eq!(parsed(to_json(&rich())), expected);
}

#[test]
fn json_of_a_clean_finalization_has_nulls_and_empty_arrays() {
    let json = parsed(to_json(&quiet()));
    assert_eq!(json["deadline_us"], Value::Null);
    assert_eq!(json["leaks"], json!([]));
    assert_eq!(json["restartable"], json!(true));
    assert_eq!(json["status"], json!({ "code": 0, "name": "Ok", "text": "done" }));
}

#[test]
fn json_keeps_numbers_exact_up_to_the_largest() {
    let mut report = quiet();
    report.late_calls = u64::MAX;
    assert_eq!(parsed(to_json(&report))["late_calls"].as_u64(), Some(u64::MAX));
}

#[test]
fn json_and_trace_give_every_name_back_whole_on_one_harmless_line() {
    let acts = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}');
    for name in hostile_names() {
        let (json, trace) = (to_json(&named(&name)), to_trace(&named(&name)));
        assert!(!json.contains(acts) && !trace.contains(acts), "{name:?}");
        let (json, trace) = (parsed(json), parsed(trace));
        for at in [
            "/runtime",
            "/phases/1/callbacks/0/name",
            "/phases/4/handlers/0/name",
            "/blocked/0/what",
            "/blocked/0/outcome",
            "/failures/0/name",
            "/failures/0/how",
            "/skipped/0/name",
            "/continued/0/name",
            "/continued/0/how",
            "/taken_over/0/what",
            "/stopped/0",
            "/threads/1/name",
            "/threads/1/stretches/0/what",
            "/runaways/0",
            "/undetached/0",
            "/destinations/0/name",
            "/destinations/0/reason",
            "/leaks/0/name",
            "/leaks/0/reason",
            "/resurrected/0/object",
            "/violations/0/object",
            "/violations/0/call",
            "/not_restartable/0",
        ] {
            assert_eq!(json.pointer(at), Some(&json!(name)), "{at}");
        }
        assert_eq!(trace["traceEvents"][0]["args"]["name"], json!(name));
        let leaks = events(&trace, "leak");
        assert_eq!(leaks[0]["args"]["name"], json!(name));
    }
}

#[test]
fn json_nests_children_with_their_start_on_the_parents_axis() {
    let json = parsed(to_json(&family()));
    assert_eq!(json["missing_bytes"], 0, "a runtime's own");
    assert_eq!(json["children"][0]["runtime"], "web");
    assert_eq!(json["children"][0]["start_us"], -300);
    assert_eq!(json["children"][0]["missing_bytes"], 4608);
    assert_eq!(json["children"][0]["children"][0]["runtime"], "inner");
    assert_eq!(json["children"][0]["children"][0]["start_us"], 100);
    assert_eq!(json["children"][1]["start_us"], 0);
    assert!(json.get("start_us").is_none(), "nobody's child");
}
