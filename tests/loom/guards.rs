//! Guards: opening and closing by plain stores, against a finalizer that decides or waits.

use crate::stage::Stage;
use loom::thread;
use rtfinalize::runtime::guards::exchange::{Anchor, Hold, Life, NAME_SIZE, Note, Slot};
use rtfinalize::sync::{Arc, Deadline};

const LIFE: Life = Life::from_number(7);

fn note() -> Note {
    Note { life: LIFE, anchor: 0, shared: false, since_ms: 0, name: [0; NAME_SIZE] }
}

fn pinned_in(slot: &Slot) -> bool {
    slot.look().is_some_and(|(_, note)| note.life == LIFE)
}

fn anchor() -> Arc<Anchor> {
    let anchor = Arc::new(Anchor::new());
    anchor.begin(LIFE);
    anchor
}

/// Opens a guard if it is granted, touches the data and closes.
fn hold_once(stage: &Stage, anchor: &Anchor, slot: &Slot, foreign: bool) {
    let generation = slot.open(&note());
    let granted = matches!(anchor.hold(LIFE), Hold::Open | Hold::Watched);
    if granted {
        stage.data.set(stage.data.get() + 1);
    }
    let closed = if foreign { slot.close_foreign(generation) } else { slot.close_own(generation) };
    assert!(closed);
    if matches!(anchor.hold(LIFE), Hold::Watched | Hold::Deciding) {
        stage.gate.announce();
    }
}

fn nobody_holds(foreign: bool) {
    let stage = Stage::new(Deadline::NEVER);
    let (anchor, slot) = (anchor(), Arc::new(Slot::new()));
    let holder = {
        let (stage, anchor, slot) = (stage.clone(), anchor.clone(), slot.clone());
        thread::spawn(move || hold_once(&stage, &anchor, &slot, foreign))
    };
    anchor.decide(LIFE);
    // The first look is not the gate's, which has a fence of its own here.
    if pinned_in(&slot) {
        assert!(stage.gate.wait_until(Deadline::NEVER, || !pinned_in(&slot)));
    }
    anchor.shut();
    stage.data.set(stage.data.get() + 1);
    holder.join().unwrap();
}

model!(nobody_holds_a_guard_after_the_decision, None, || nobody_holds(false), [
    GuardSkipsLightFence => RACE,
    GuardSkipsHeavyFence => RACE,
]);

model!(a_guard_closed_elsewhere_is_waited_for_too, None, || nobody_holds(true), [
    GuardSkipsLightFence => RACE,
    GuardSkipsHeavyFence => RACE,
]);

// A guard from before finalization began is closed while the finalizer goes to sleep.
model!(no_close_is_slept_through, None, no_close_is_slept_through_body, [
    GuardSkipsLightFence => DEADLOCK,
]);
fn no_close_is_slept_through_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (anchor, slot) = (anchor(), Arc::new(Slot::new()));
    let generation = slot.open(&note());
    let holder = {
        let (stage, anchor, slot) = (stage.clone(), anchor.clone(), slot.clone());
        thread::spawn(move || {
            stage.data.set(1);
            assert!(slot.close_own(generation));
            if anchor.hold(LIFE) == Hold::Watched {
                stage.gate.announce();
            }
        })
    };
    anchor.watch(LIFE);
    assert!(stage.gate.wait_until(Deadline::NEVER, || !pinned_in(&slot)));
    assert_eq!(stage.data.get(), 1);
    holder.join().unwrap();
}

// Who comes while the finalizer decides hears what came of it.
model!(a_decision_is_waited_for, None, a_decision_is_waited_for_body, [
    GuardWaitsForNoDecision => "decided",
]);
fn a_decision_is_waited_for_body() {
    let _stage = Stage::new(Deadline::NEVER);
    let anchor = anchor();
    anchor.decide(LIFE);
    let comer = {
        let anchor = anchor.clone();
        thread::spawn(move || {
            anchor.await_decision(LIFE);
            assert_eq!(anchor.hold(LIFE), Hold::Watched, "decided");
        })
    };
    anchor.watch(LIFE);
    comer.join().unwrap();
}
