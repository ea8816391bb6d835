//! The house rules that a reader relies on, kept by a test.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(below: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn core() -> Vec<(PathBuf, String)> {
    let found = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(found.len() > 20, "the sources were found");
    found
}

fn offenders(offends: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    core()
        .iter()
        .map(|(path, text)| (name(path), text))
        .filter(|(n, t)| offends(n, t))
        .map(|(n, _)| n)
        .collect()
}

#[test]
fn a_file_is_one_concept_of_at_most_500_lines() {
    assert_eq!(offenders(|_, text| text.lines().count() > 500), Vec::<String>::new());
}

#[test]
fn atomics_parking_and_time_are_used_through_the_door_only() {
    let doors = [
        "std::sync::atomic",
        "parking_lot",
        "Instant::now",
        ".elapsed()",
        "thread::sleep",
        "thread::park",
        "Condvar",
    ];
    let code = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let found = offenders(|name, text| {
        !name.starts_with("sync/") && doors.iter().any(|door| code(text).contains(door))
    });
    assert_eq!(found, Vec::<String>::new());
}

/// Unsafe code stays in the C layer and in the files that talk to the platform or hold the lock's data.
#[test]
fn unsafe_code_stays_where_it_belongs() {
    let may = [
        "exit/hard_exit.rs",
        "exit/process_end.rs",
        "finalize/watchdog/host_words.rs",
        "io.rs",
        "io/asked.rs",
        "io/c_runtime.rs",
        "io/descriptor.rs",
        "io/hand.rs",
        "io/hand/sent.rs",
        "io/handle.rs",
        "io/pipe.rs",
        "io/sigpipe.rs",
        "io/standard_error.rs",
        "lock/recoverable.rs",
        "must_not_compile.rs",
        "report/output.rs",
        "report/publish.rs",
        "runtime/attachment.rs",
        "runtime/environment.rs",
        "runtime/guards/table.rs",
        "runtime/overlapped/aio.rs",
        "runtime/overlapped/aio/after_fork.rs",
        "runtime/overlapped/host.rs",
        "runtime/overlapped/kernel.rs",
        "runtime/parked.rs",
        "runtime/writer/lifeline.rs",
        "sync/fence.rs",
        "sync/futex.rs",
        "sync/parking/native.rs",
        "sync/parking/portable.rs",
        "sync/real.rs",
        "sync/sentinel/native.rs",
        "sync/slab.rs",
        "sys/cancellation.rs",
        "sys/loaded_code.rs",
        "sys/memory.rs",
        "sys/memory/reserve.rs",
        "sys/signals.rs",
        "sys/thread_activity.rs",
        "thread/host_call.rs",
        "thread/record/pulse.rs",
        "thread/this_thread.rs",
        "thread/this_thread/duties.rs",
        "thread/this_thread/end.rs",
        "thread/this_thread/fork_hooks.rs",
    ];
    let found = offenders(|name, text| {
        !name.starts_with("capi/")
            && !may.contains(&name)
            && text.split("#[cfg(test)]").next().unwrap().contains("unsafe ")
    });
    assert_eq!(found, Vec::<String>::new());
}
