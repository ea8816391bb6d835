//! The last word of a process, against an operation whose lock it cannot take.

use crate::stage::Stage;
use loom::thread;
use rtfinalize::lock::in_use::{InUse, ends_are_known};
use rtfinalize::sync::{Arc, Deadline};

// What is found vacant belongs to the last word; an operation that ended is seen whole.
model!(an_operation_is_over_or_is_seen, None, an_operation_is_over_or_is_seen_body, [
    OperationSkipsLightFence => RACE,
    LastWordSkipsHeavyFence => RACE,
]);
fn an_operation_is_over_or_is_seen_body() {
    let stage = Stage::new(Deadline::NEVER);
    let used = Arc::new(InUse::new());
    let owner = {
        let (stage, used) = (stage.clone(), used.clone());
        thread::spawn(move || {
            let mut done = 0;
            for _ in 0..2 {
                if used.enter() {
                    stage.data.set(stage.data.get() + 1);
                    used.leave();
                    done += 1;
                }
            }
            done
        })
    };
    used.end();
    ends_are_known();
    let taken = used.is_vacant().then(|| {
        let seen = stage.data.get();
        stage.data.set(100);
        seen
    });
    let done = owner.join().unwrap();
    match taken {
        Some(seen) => assert_eq!((seen, stage.data.get()), (done, 100)),
        None => assert_eq!(stage.data.get(), done),
    }
}
