//! What a person reads.

use crate::reports::{continued, family, hostile_names, leak, named, quiet, record, rich, span};
use rtfinalize::phase::Phase;
use rtfinalize::report::ledger::LeakKind;
use rtfinalize::report::{Continuation, Destination, Report, TextStyle, to_text};
use rtfinalize::status::Status;
use std::sync::Arc;

fn text(report: &Report) -> String {
    to_text(report, TextStyle::plain())
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
  not waited for
    atexit  send metrics   2.50 s  still running
    atexit  ping          1.50 ms  failed: returned -1
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
  and 3 more, for which there was no memory
  the report could not be written to r.json: Is a directory
  late calls refused: 17

restartable: no, because a runaway may still use the runtime
not waited for:  700 us  by trim
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
fn text_names_what_keeps_the_runtime_from_a_restart_once() {
    let mut report = quiet();
    let state = |n| leak(LeakKind::ThreadState, &format!("thread 'w{n}'"), 0, "it is parked");
    report.leaks = (0..3).map(state).collect();
    report.runaways = vec!["thread 'busy'".into(), "guard 'g' of thread 'w0'".into()];
    report.continued = vec![continued("send metrics", Continuation::Running, 7, "")];
    let because = |kind: &str, name: &str| format!("{kind} '{name}' was leaked: it is parked");
    let leaks = report.leaks.iter().map(|leak| because(leak.kind.name(), &leak.name));
    report.not_restartable = leaks.collect();
    report.not_restartable.extend([
        "thread 'busy' still runs inside".into(),
        "guard 'g' of thread 'w0', was never closed".into(),
        "handler 'send metrics', which was not waited for, still runs".into(),
        "the process was forked in the phase freeze of its finalization".into(),
    ]);
    let line = "\nrestartable: no, because of 3 leaks, 1 thread still inside, 1 guard still open, 1 \
                handler still running (listed above); the process was forked in the phase freeze of \
                its finalization";
    let text = text(&report);
    let unwrapped = text.replace("\n  ", " ");
    assert!(unwrapped.contains(line), "{text}");
    for name in ["'w1'", "'busy'", "guard 'g'", "send metrics"] {
        assert_eq!(text.matches(name).count(), 1, "{name} in {text}");
    }
    let parent = Report {
        not_restartable: report
            .not_restartable
            .iter()
            .map(|why| format!("of child 'main': {why}"))
            .collect(),
        children: vec![Arc::new(report)],
        runtime: "parent".into(),
        ..quiet()
    };
    let text = self::text(&parent);
    assert_eq!(text.matches("'w1'").count(), 1, "{text}");
    let unwrapped = text.replace("\n  ", " ");
    assert!(
        unwrapped.contains("(listed above); of child 'main': the process was forked"),
        "{text}"
    );
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
