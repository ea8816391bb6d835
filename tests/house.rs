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
        "cancel.rs",
        "environment.rs",
        "guarded.rs",
        "host_call.rs",
        "last_word.rs",
        "memory.rs",
        "memory/reserve.rs",
        "must_not_compile.rs",
        "overlapped/aio.rs",
        "overlapped/aio/after_fork.rs",
        "overlapped/host.rs",
        "overlapped/kernel.rs",
        "owner/pulse.rs",
        "parked.rs",
        "process_end.rs",
        "rack.rs",
        "report/output.rs",
        "report/publish.rs",
        "row.rs",
        "sink.rs",
        "sink/asked.rs",
        "sink/c_runtime.rs",
        "sink/descriptor.rs",
        "sink/hand.rs",
        "sink/hand/sent.rs",
        "sink/handle.rs",
        "sink/pipe.rs",
        "sink/sigpipe.rs",
        "standard_error.rs",
        "sync/fence.rs",
        "sync/futex.rs",
        "sync/real.rs",
        "sync/parking/native.rs",
        "sync/parking/portable.rs",
        "sync/sentinel/native.rs",
        "this_thread.rs",
        "this_thread/duties.rs",
        "this_thread/end.rs",
        "this_thread/fork_hooks.rs",
        "thread.rs",
        "unloaded.rs",
        "watch/host_words.rs",
        "whereabouts.rs",
        "writer/lifeline.rs",
    ];
    let found = offenders(|name, text| {
        !name.starts_with("capi/")
            && !may.contains(&name)
            && text.split("#[cfg(test)]").next().unwrap().contains("unsafe ")
    });
    assert_eq!(found, Vec::<String>::new());
}
