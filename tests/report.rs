//! The report's three forms, on reports built by hand: what a reader or a script relies on.

use rtfinalize::ledger::{Leak, LeakKind};
use rtfinalize::phase::Phase;
use rtfinalize::report::{
    Blocked, Destination, Failure, HandlerRun, PhaseRecord, Report, Resurrected, Skipped, Span,
    TextStyle, Violation, to_json, to_text, to_trace,
};
use rtfinalize::status::Status;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn span(start_us: u64, us: u64) -> Span {
    Span { start_us, us }
}

fn record(phase: Phase, spans: &[Span], work: u64) -> PhaseRecord {
    let spans = spans.to_vec();
    PhaseRecord { phase, spans, work, budget_us: None, overran: false, handlers: Vec::new() }
}

fn leak(kind: LeakKind, name: &str, bytes: u64, reason: &str) -> Leak {
    Leak { kind, name: name.into(), bytes, reason: reason.into() }
}

fn quiet() -> Report {
    Report {
        runtime: "main".into(),
        status: Status::Ok,
        began: None,
        total_us: 1_250,
        deadline_us: None,
        passes: 1,
        phases: vec![
            record(Phase::Guards, &[span(0, 3)], 0),
            record(Phase::AtExit, &[span(4, 812)], 2),
            record(Phase::FlushEarly, &[span(820, 400)], 4096),
        ],
        blocked: vec![],
        failures: vec![],
        skipped: vec![],
        runaways: vec![],
        undetached: vec![],
        destinations: vec![Destination {
            name: "stdout".into(),
            accepted: 9000,
            written: 9000,
            flushed: 4096,
            ..Destination::default()
        }],
        leaks: vec![],
        resurrected: vec![],
        violations: vec![],
        late_calls: 0,
        children: vec![],
        not_restartable: vec![],
    }
}

fn rich() -> Report {
    let mut freeze = record(Phase::Freeze, &[span(1_300_000, 502_000)], 3);
    (freeze.budget_us, freeze.overran) = (Some(500_000), true);
    let mut finalize = record(Phase::Finalize, &[span(1_900_000, 30_000)], 1);
    let run = |name: &str, span| HandlerRun { name: name.into(), span };
    // The second seems to outlast its phase by a microsecond, as rounding makes it.
    finalize.handlers = vec![
        run("clear modules", span(1_900_000, 20_000)),
        run("collect", span(1_920_000, 10_001)),
    ];
    let blocked = |phase, what: &str, us, outcome: &str| Blocked {
        phase,
        what: what.into(),
        us,
        outcome: outcome.into(),
    };
    Report {
        runtime: "main".into(),
        status: Status::Incomplete,
        began: None,
        total_us: 2_100_000,
        deadline_us: Some(5_000_000),
        passes: 2,
        phases: vec![
            record(Phase::Guards, &[span(0, 1_200_000), span(1_250_000, 12)], 1),
            record(Phase::AtExit, &[span(1_200_000, 40_000), span(1_250_020, 9_000)], 12),
            freeze,
            record(Phase::FlushFrozen, &[span(1_802_000, 98_000)], 70_000),
            finalize,
            record(Phase::Overlapped, &[span(1_930_000, 160_000)], 2),
            record(Phase::Reclaim, &[span(2_090_000, 700)], 2),
        ],
        blocked: vec![
            blocked(Phase::Guards, "guard 'grpc-poller' of thread 4711", 1_199_000, "dropped"),
            blocked(Phase::Freeze, "thread 'worker' (thread 4712)", 500_000, "left a runaway"),
        ],
        failures: vec![Failure {
            phase: Phase::AtExit,
            name: "save_history".into(),
            how: "returned -1".into(),
        }],
        skipped: vec![Skipped { phase: Phase::Finalize, name: "warm cache".into() }],
        runaways: vec!["worker (thread 4712)".into()],
        undetached: vec!["pool-3 (thread 4713)".into()],
        destinations: vec![
            Destination {
                name: "app.log".into(),
                accepted: 90_000,
                written: 85_392,
                flushed: 70_000,
                recovered: 120,
                unwritten: 4_096,
                in_flight: 512,
                left_to_parent: 64,
                reason: "no space left on device (ENOSPC)".into(),
            },
            Destination { name: "stdout".into(), recovered: 1, ..Destination::default() },
        ],
        leaks: vec![
            leak(LeakKind::Overlapped, "pipe-read", 65_536, "the kernel still writes to it"),
            leak(LeakKind::ThreadState, "worker", 0, "its thread is still running"),
        ],
        resurrected: vec![Resurrected { object: "session".into(), count: 2 }],
        violations: vec![
            Violation { object: "cursor".into(), call: "rt_writer_write".into(), count: 1 },
            Violation { object: "socket".into(), call: "rt_thread_enter".into(), count: 12 },
        ],
        late_calls: 17,
        children: vec![],
        not_restartable: vec!["a runaway may still use the runtime".into()],
    }
}

fn text(report: &Report) -> String {
    to_text(report, TextStyle::plain())
}

fn parsed(json: String) -> Value {
    serde_json::from_str(&json).expect("valid JSON")
}

/// Names nobody should choose, and somebody will.
fn hostile_names() -> Vec<String> {
    vec![
        "say \"hi\" \\ 'there'".into(),
        "x\nrestartable: yes\r\n\tneeds attention".into(),
        "\u{1b}[2J\u{1b}[31m\u{9b}0m\u{7f}\0".into(),
        "\u{202e}desrever\u{2066}\u{2028}\u{feff}".into(),
        "👩‍💻 naïve 日本語 \u{10ffff}\u{e000}\u{d7ff}".into(),
        "n".repeat(500),
        "a b ".repeat(125),
        "日本語".repeat(60),
        " \u{3000} ".into(),
        String::new(),
    ]
}

fn named(name: &str) -> Report {
    let mut report = rich();
    let name = name.to_owned();
    report.runtime = name.clone();
    report.phases[4].handlers[0].name = name.clone();
    report.blocked[0].what = name.clone();
    report.blocked[0].outcome = name.clone();
    report.failures[0] = Failure { phase: Phase::AtExit, name: name.clone(), how: name.clone() };
    report.runaways[0] = name.clone();
    report.undetached[0] = name.clone();
    report.destinations[0].name = name.clone();
    report.destinations[0].reason = name.clone();
    report.leaks[0].name = name.clone();
    report.leaks[0].reason = name.clone();
    report.resurrected[0].object = name.clone();
    report.violations[0].object = name.clone();
    report.violations[0].call = name.clone();
    report.not_restartable[0] = name;
    report
}

#[test]
fn text_of_a_clean_finalization_is_headline_table_and_restartable() {
    let expected = "\
main: finalized in 1.25 ms

  guards         3 us
  atexit       812 us  ################     2 callbacks
  flush-early  400 us  ########          4096 bytes

restartable: yes
";
    assert_eq!(text(&quiet()), expected);
}

#[test]
fn text_names_everything_that_needs_attention() {
    let expected = "\
main: finalized, incomplete, in 2.10 s (2 passes, deadline 5.00 s)

  guards         1.20 s  ######      1 guard
  atexit        49.0 ms             12 callbacks
  freeze         502 ms  ##          3 threads                 over budget
  flush-frozen  98.0 ms          70000 bytes
  finalize      30.0 ms              1 object      2 handlers
  overlapped     160 ms  #           2 operations
  reclaim        700 us              2 threads

needs attention
  bytes missing: 4608 (512 of them in flight: they may still arrive)
    app.log  4096 unwritten  512 in flight  no space left on device (ENOSPC)
  over budget
    freeze  502 ms  budget 500 ms
  waited for
    guards  1.19 s  guard 'grpc-poller' of thread 4711: dropped
    freeze  500 ms  thread 'worker' (thread 4712): left a runaway
  failed
    atexit  save_history  returned -1
  skipped for want of time
    finalize  warm cache
  threads still inside, guards still open (nothing they may touch was freed)
    worker (thread 4712)
  threads that ended without detaching
    pool-3 (thread 4713)
  leaked on purpose: 2 leaks, at least 65536 bytes
    overlapped operation  pipe-read   65536 bytes  the kernel still writes to it
    thread state          worker     size unknown  its thread is still running
  brought back to life by their finalize, and not deallocated
    session  2 objects
  runtime calls refused inside dealloc
    cursor  rt_writer_write  1 call
    socket  rt_thread_enter  12 calls
  late calls refused: 17

restartable: no, because a runaway may still use the runtime
recovered:  120 bytes  of app.log
recovered:     1 byte  of stdout
left to the parent:  64 bytes  of app.log
";
    assert_eq!(text(&rich()), expected);
}

#[test]
fn text_tells_a_passed_deadline_from_a_passed_budget() {
    let mut report = quiet();
    (report.status, report.deadline_us) = (Status::Incomplete, Some(1_200));
    report.phases[1].overran = true;
    let text = text(&report);
    assert!(
        text.starts_with("main: finalized, incomplete, in 1.25 ms (deadline 1.20 ms passed)\n")
    );
    assert!(text.contains("\n    atexit  812 us  when the deadline passed\n"), "{text}");
}

#[test]
fn text_shows_a_section_only_for_what_happened() {
    let mut report = quiet();
    report.late_calls = 3;
    let text = text(&report);
    assert!(text.contains("\n\nneeds attention\n  late calls refused: 3\n\nrestartable: yes\n"));
}

#[test]
fn text_never_leaves_a_line_too_wide_or_with_trailing_spaces_or_control_characters() {
    for name in hostile_names() {
        for width in [0, 60, 80, 133] {
            let text = to_text(&named(&name), TextStyle { width, ..TextStyle::plain() });
            assert!(text.ends_with('\n'));
            for line in text.lines() {
                assert!(line.chars().count() <= width.max(60), "{name:?} at {width}: {line:?}");
                assert_eq!(line, line.trim_end(), "{name:?} at {width}");
                assert!(!line.contains(char::is_control), "{name:?} at {width}: {line:?}");
            }
        }
    }
}

#[test]
fn text_lets_no_name_fake_a_line() {
    for name in hostile_names() {
        let text = text(&named(&name));
        let starting = |with| text.lines().filter(|line| line.starts_with(with)).count();
        assert_eq!(starting("restartable"), 1, "{text}");
        assert_eq!(starting("restartable: yes"), 0, "{text}");
        assert_eq!(starting("needs attention"), 1, "{text}");
    }
}

#[test]
fn text_keeps_missing_byte_counts_whole_beside_any_name() {
    for name in hostile_names() {
        let text = text(&named(&name));
        assert!(text.contains("bytes missing: 4608 (512 of them in flight"), "{text}");
        assert!(text.contains("  4096 unwritten  512 in flight"), "{text}");
    }
}

#[test]
fn text_cuts_long_lists_but_names_every_destination_that_lost_bytes() {
    let mut report = quiet();
    report.leaks = (0..1000).map(|_| leak(LeakKind::Object, "o", 8, "in use")).collect();
    report.runaways = (0..21).map(|n| format!("thread {n}")).collect();
    report.not_restartable = (0..30).map(|n| format!("reason {n}")).collect();
    let lost = |n| Destination { name: format!("file{n}"), unwritten: n, ..Destination::default() };
    report.destinations = (1..=100).map(lost).collect();
    let text = text(&report);
    assert!(text.contains("leaked on purpose: 1000 leaks, 8000 bytes\n"), "{text}");
    assert!(text.contains("\n    ... and 980 more\n"), "{text}");
    assert!(text.contains("\n    ... and 1 more\n"), "{text}");
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.ends_with("; reason 19; ... and 10 more"), "{text}");
    assert!(text.contains("bytes missing: 5050\n"), "{text}");
    for n in 1..=100 {
        let row = |line: &str| {
            line.split_whitespace().eq([&*format!("file{n}"), &n.to_string(), "unwritten"])
        };
        assert!(text.lines().any(row), "file{n} in {text}");
    }
}

#[test]
fn text_never_cuts_a_number_even_if_the_line_gets_too_wide() {
    let mut report = quiet();
    report.total_us = u64::MAX;
    report.phases[0] = record(Phase::Guards, &[span(0, u64::MAX)], u64::MAX);
    report.destinations[0].unwritten = u64::MAX;
    let text = text(&report);
    assert!(text.contains("18446744073709551615 guards"), "{text}");
    assert!(text.contains("18446744073709551615 unwritten"), "{text}");
    assert!(text.starts_with("main: finalized in 307445734561 min 49 s\n"), "{text}");
}

#[test]
fn text_is_ascii_when_plain_and_coloured_unicode_on_a_terminal() {
    assert!(text(&rich()).is_ascii());
    let coloured = to_text(&rich(), TextStyle::terminal(80));
    assert!(coloured.contains('█') && coloured.contains("700 µs"), "{coloured}");
    assert!(coloured.starts_with("\x1b[1;31mmain: finalized, incomplete"), "{coloured}");
    for line in coloured.lines() {
        // Every line ends its own colours: one cut out by grep leaves the terminal as it was.
        let starts = line.matches("\x1b[").count();
        assert_eq!(starts, 2 * line.matches("\x1b[0m").count(), "{line:?}");
    }
}

#[test]
fn text_of_an_empty_report_is_two_lines() {
    let report = Report { phases: vec![], destinations: vec![], runtime: String::new(), ..quiet() };
    assert_eq!(text(&report), "(not given): finalized in 1.25 ms\n\nrestartable: yes\n");
}

#[test]
fn json_has_every_field_of_the_model() {
    let phase = |name: &str, spans: Value, us: u64, work: u64, unit: &str| {
        json!({ "name": name, "spans": spans, "us": us, "work": work, "unit": unit,
                "budget_us": null, "overran": false, "handlers": [] })
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
            { "phase": "guards", "what": "guard 'grpc-poller' of thread 4711", "us": 1_199_000,
              "outcome": "dropped" },
            { "phase": "freeze", "what": "thread 'worker' (thread 4712)", "us": 500_000,
              "outcome": "left a runaway" },
        ],
        "failures": [{ "phase": "atexit", "name": "save_history", "how": "returned -1" }],
        "skipped": [{ "phase": "finalize", "name": "warm cache" }],
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
        "late_calls": 17,
        "restartable": false,
        "children": [],
        "not_restartable": ["a runaway may still use the runtime"],
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
            "/phases/4/handlers/0/name",
            "/blocked/0/what",
            "/blocked/0/outcome",
            "/failures/0/name",
            "/failures/0/how",
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

fn events(trace: &Value, category: &str) -> Vec<Value> {
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
fn trace_has_an_event_for_each_run_of_a_phase_and_counts_its_work_once() {
    let phases = events(&parsed(to_trace(&rich())), "phase");
    assert_eq!(phases.len(), 9);
    let event = |name: &str, ts: u64, dur: u64, args: Value| {
        json!({ "name": name, "ph": "X", "pid": 1, "tid": 1, "cat": "phase", "ts": ts, "dur": dur,
                "args": args })
    };
    let blocked = json!([{ "phase": "guards", "what": "guard 'grpc-poller' of thread 4711",
        "us": 1_199_000, "outcome": "dropped" }]);
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

/// A parent that began at some time, a child that another thread had begun 300 us before, and a
/// grandchild 100 us into that.
fn family() -> Report {
    let began = rtfinalize::sync::now() + Duration::from_secs(1);
    let at = |before: u64| Some(began - Duration::from_micros(before));
    let inner = Report { runtime: "inner".into(), began: at(200), ..rich() };
    let children = vec![Arc::new(inner)];
    let web = Report { runtime: "web".into(), began: at(300), children, ..rich() };
    let pool = Report { runtime: "pool".into(), began: at(0), ..quiet() };
    let children = vec![Arc::new(web), Arc::new(pool)];
    Report { status: Status::Incomplete, began: at(0), children, ..quiet() }
}

#[test]
fn text_shows_each_child_indented_with_what_needs_attention_in_it() {
    let text = text(&family());
    let (own, children) = text.split_once("\nchildren\n").expect("a section of its own");
    assert!(!own.contains("needs attention"), "{own}");
    let starts = |with: &str| children.lines().filter(|line| line.starts_with(with)).count();
    assert_eq!(starts("  web: finalized, incomplete, in 2.10 s (2 passes"), 1, "{text}");
    assert_eq!(starts("    needs attention in web"), 1, "{text}");
    assert_eq!(starts("      bytes missing: 4608"), 1, "{text}");
    assert_eq!(starts("    inner: finalized, incomplete, in 2.10 s"), 1, "{text}");
    assert_eq!(starts("      needs attention in inner"), 1, "{text}");
    assert_eq!(starts("        bytes missing: 4608"), 1, "{text}");
    assert_eq!(starts("  pool: finalized in 1.25 ms"), 1, "{text}");
    assert!(text.ends_with("  pool: finalized in 1.25 ms\n\nrestartable: yes\n"), "{text}");
}

#[test]
fn text_lets_no_childs_name_fake_a_line_and_keeps_to_the_width() {
    for name in hostile_names() {
        let child = Report { children: vec![Arc::new(named(&name))], ..named(&name) };
        let report = Report { children: vec![Arc::new(child)], ..quiet() };
        for line in text(&report).lines() {
            assert!(line.chars().count() <= 80, "{name:?}: {line:?}");
            assert_eq!(line, line.trim_end(), "{name:?}");
            assert!(!line.starts_with("needs attention"), "{name:?}: {line:?}");
        }
        assert_eq!(text(&report).matches("\nrestartable").count(), 1);
    }
}

#[test]
fn text_names_every_incomplete_child_and_few_of_the_others() {
    let mut report = quiet();
    let child = |name: String, status| Report { runtime: name, status, ..quiet() };
    for n in 0..50 {
        report.children.push(Arc::new(child(format!("good{n}"), Status::Ok)));
        report.children.push(Arc::new(child(format!("bad{n}"), Status::Incomplete)));
    }
    let text = text(&report);
    assert_eq!(text.matches("  bad").count(), 50, "{text}");
    assert_eq!(text.matches("  good").count(), 20, "{text}");
    assert!(text.contains("\n  ... and 30 more\n"), "{text}");
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
