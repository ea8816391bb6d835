//! What the C tests cannot see of children: that all flushes of a tree share one grace.

use rtfinalize::Deadline;
use rtfinalize::finalize::finalize_with;
use rtfinalize::runtime::options::Options;
use rtfinalize::runtime::writer::{Writer, WriterOptions};
use rtfinalize::runtime::{Runtime, RuntimeOptions};
use rtfinalize::status::Status;

mod pipes;

#[test]
fn a_writer_of_a_child_whose_lock_is_kept_spends_its_parents_grace_and_at_most_half_of_it() {
    let parent = Runtime::new("parent");
    let name = "child".into();
    let options = RuntimeOptions { name, ..RuntimeOptions::default() };
    let child = Runtime::new_child(&parent, options).unwrap();
    let (reader, end) = std::io::pipe().unwrap();
    let writer = Writer::new(
        &child,
        pipes::sink_of(&end),
        WriterOptions { name: "stuck".into(), capacity: 1 << 20, ..WriterOptions::default() },
    )
    .unwrap();
    writer.write(b"held", Deadline::after_us(0)).unwrap();
    let (held, holds) = std::sync::mpsc::channel();
    let (end_it, ends) = std::sync::mpsc::channel::<()>();
    let keeper = writer.clone();
    let keeper = std::thread::spawn(move || {
        keeper.lock(Deadline::NEVER).unwrap();
        held.send(()).unwrap();
        let _ = ends.recv();
        keeper.unlock().unwrap();
    });
    holds.recv().unwrap();
    child.configure(|options| options.grace_us = 60_000_000);
    let options = Options { grace_us: 200_000, ..parent.options() };
    let report = finalize_with(&parent, options).unwrap().report().clone();
    assert_eq!(report.status, Status::Incomplete);
    assert_eq!(report.missing_bytes(), 0, "the parent's own");
    assert!(report.children[0].missing_bytes() > 0);
    assert_eq!(child.grace_left_us(), 0, "it had no more than that");
    assert!(parent.grace_left_us() <= 100_000, "{}", parent.grace_left_us());
    drop(end_it);
    keeper.join().unwrap();
    drop(reader);
}
