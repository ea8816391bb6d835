//! Reports built by hand.

use rtfinalize::phase::Phase;
use rtfinalize::report::ledger::{Leak, LeakKind};
use rtfinalize::report::{
    Blocked, Continuation, Continued, Destination, Failure, HandlerRun, PhaseRecord, Report,
    Resurrected, Skipped, Span, Stretch, TakenOver, ThreadRecord, ThreadState, Violation,
};
use rtfinalize::status::Status;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub fn span(start_us: u64, us: u64) -> Span {
    Span { start_us, us }
}

pub fn record(phase: Phase, spans: &[Span], work: u64) -> PhaseRecord {
    let spans = spans.to_vec();
    let (handlers, callbacks) = (vec![], vec![]);
    PhaseRecord { phase, spans, work, budget_us: None, overran: false, handlers, callbacks }
}

pub fn leak(kind: LeakKind, name: &str, bytes: u64, reason: &str) -> Leak {
    Leak { kind, name: name.into(), bytes, reason: reason.into() }
}

pub fn continued(name: &str, state: Continuation, us: u64, how: &str) -> Continued {
    let (name, how) = (name.into(), how.into());
    Continued { phase: Phase::AtExit, name, state, start_us: 1_210_000, us, how }
}

fn stretch(state: ThreadState, what: &str, start_us: u64, us: u64) -> Stretch {
    Stretch { state, what: what.into(), span: span(start_us, us) }
}

pub fn thread(name: &str, stretches: &[Stretch]) -> ThreadRecord {
    ThreadRecord { name: name.into(), stretches: stretches.to_vec(), more: 0 }
}

pub fn quiet() -> Report {
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
        continued: vec![],
        taken_over: vec![],
        more_taken_over: 0,
        stopped: vec![],
        threads: vec![],
        more_threads: 0,
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
        unreported: String::new(),
        unnoted: 0,
    }
}

pub fn rich() -> Report {
    let mut freeze = record(Phase::Freeze, &[span(1_300_000, 502_000)], 3);
    (freeze.budget_us, freeze.overran) = (Some(500_000), true);
    let mut finalize = record(Phase::Finalize, &[span(1_900_000, 30_000)], 1);
    let run = |name: &str, span| HandlerRun { name: name.into(), span };
    // The second seems to outlast its phase by a microsecond, as rounding makes it.
    finalize.handlers = vec![
        run("clear modules", span(1_900_000, 20_000)),
        run("collect", span(1_920_000, 10_001)),
    ];
    let blocked = |phase, what: &str, start_us, us, outcome: &str| Blocked {
        phase,
        what: what.into(),
        start_us,
        us,
        outcome: outcome.into(),
    };
    let mut at_exit = record(Phase::AtExit, &[span(1_200_000, 40_000), span(1_250_020, 9_000)], 12);
    at_exit.callbacks = vec![run("save_history", span(1_201_000, 30_000))];
    Report {
        runtime: "main".into(),
        status: Status::Incomplete,
        began: None,
        total_us: 2_100_000,
        deadline_us: Some(5_000_000),
        passes: 2,
        phases: vec![
            record(Phase::Guards, &[span(0, 1_200_000), span(1_250_000, 12)], 1),
            at_exit,
            freeze,
            record(Phase::FlushFrozen, &[span(1_802_000, 98_000)], 70_000),
            finalize,
            record(Phase::Overlapped, &[span(1_930_000, 160_000)], 2),
            record(Phase::Reclaim, &[span(2_090_000, 700)], 2),
        ],
        blocked: vec![
            blocked(Phase::Guards, "guard 'grpc-poller' of thread 4711", 900, 1_199_000, "dropped"),
            blocked(
                Phase::Freeze,
                "thread 'worker' (thread 4712)",
                1_301_000,
                500_000,
                "left a runaway",
            ),
        ],
        failures: vec![Failure {
            phase: Phase::AtExit,
            name: "save_history".into(),
            how: "returned -1".into(),
        }],
        skipped: vec![Skipped { phase: Phase::Finalize, name: "warm cache".into() }],
        continued: vec![
            continued("send metrics", Continuation::Running, 2_500_000, ""),
            continued("ping", Continuation::Failed, 1_500, "returned -1"),
            continued("trim", Continuation::Ended, 700, "returned 0"),
        ],
        taken_over: vec![TakenOver {
            at_us: 1_803_000,
            what: "the lock of writer 'app.log', with 120 bytes, was taken over from thread 4714, \
                   which is parked for good"
                .into(),
        }],
        more_taken_over: 2,
        threads: vec![
            thread("main", &[stretch(ThreadState::Waiting, "waiting for 'sync'", 0, 1_200_000)]),
            thread(
                "daemon thread 'sync'",
                &[
                    stretch(ThreadState::Running, "in sync (app.py:12)", 100, 1_199_900),
                    stretch(ThreadState::Waiting, "in read of descriptor 3", 1_200_000, 300_000),
                    stretch(ThreadState::Stopped, "", 1_500_000, 600_000),
                ],
            ),
        ],
        more_threads: 0,
        stopped: vec!["daemon thread 'logger' (thread 4714)".into()],
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
        unnoted: 3,
        unreported: "the report could not be written to r.json: Is a directory".into(),
    }
}

pub fn parsed(json: String) -> Value {
    serde_json::from_str(&json).expect("valid JSON")
}

/// Names nobody should choose, and somebody will.
pub fn hostile_names() -> Vec<String> {
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

pub fn named(name: &str) -> Report {
    let mut report = rich();
    let name = name.to_owned();
    report.runtime = name.clone();
    report.unreported = name.clone();
    report.phases[4].handlers[0].name = name.clone();
    report.blocked[0].what = name.clone();
    report.blocked[0].outcome = name.clone();
    report.failures[0] = Failure { phase: Phase::AtExit, name: name.clone(), how: name.clone() };
    report.phases[1].callbacks[0].name = name.clone();
    report.continued[0].name = name.clone();
    report.continued[0].how = name.clone();
    report.skipped[0].name = name.clone();
    report.taken_over[0].what = name.clone();
    report.stopped[0] = name.clone();
    report.threads[1].name = name.clone();
    report.threads[1].stretches[0].what = name.clone();
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

/// A parent that began at some time, a child that another thread had begun 300 us before, and a
/// grandchild 100 us into that.
pub fn family() -> Report {
    let began = std::time::Instant::now() + Duration::from_secs(1);
    let at = |before: u64| Some(began - Duration::from_micros(before));
    let inner = Report { runtime: "inner".into(), began: at(200), ..rich() };
    let children = vec![Arc::new(inner)];
    let web = Report { runtime: "web".into(), began: at(300), children, ..rich() };
    let pool = Report { runtime: "pool".into(), began: at(0), ..quiet() };
    let children = vec![Arc::new(web), Arc::new(pool)];
    Report { status: Status::Incomplete, began: at(0), children, ..quiet() }
}
