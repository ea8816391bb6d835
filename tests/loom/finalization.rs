//! Finalization begins: the lock's rules change, and the gate shuts.

use crate::stage::{Stage, spawn, status};
use loom::thread;
use rtfinalize::lock::buffered::Acquired;
use rtfinalize::runtime::lifecycle::{Place, Position, State};
use rtfinalize::status::Status;
use rtfinalize::sync::{self, Arc, Deadline};

// A waiter without a deadline, on an owner that lives, when finalization begins.
model!(a_waiter_from_before_is_told, None, a_waiter_from_before_is_told_body, [
    SleepSkipsEpoch => DEADLOCK,
    SeqCstIsAcqRel => DEADLOCK,
]);
fn a_waiter_from_before_is_told_body() {
    let stage = Stage::new(Deadline::Past);
    let (me, waiter) = (stage.holder(), stage.thread());
    let waiter = spawn(&stage, move |stage| status(stage.acquire(&waiter, Deadline::NEVER)));
    stage.advance(State::Finalizing);
    assert_eq!(waiter.join().unwrap(), Status::OwnerBlocked);
    assert!(stage.lock.is_held_by(me.id()));
}

// The same with a grace that ends at any moment.
model!(the_grace_bounds_the_wait, Some(4), the_grace_bounds_the_wait_body, [
    SleepSkipsEpoch => DEADLOCK,
    SleepSkipsGrace => DEADLOCK,
]);
fn the_grace_bounds_the_wait_body() {
    let stage = Stage::new(Deadline::Someday);
    let (me, waiter) = (stage.holder(), stage.thread());
    let waiter = spawn(&stage, move |stage| status(stage.acquire(&waiter, Deadline::NEVER)));
    stage.advance(State::Finalizing);
    sync::strike();
    assert_eq!(waiter.join().unwrap(), Status::OwnerBlocked);
    assert!(stage.lock.is_held_by(me.id()));
}

// The same, and the owner lets go, in time or not.
model!(an_owner_may_let_go_within_the_grace, Some(4), an_owner_may_let_go_body, [
    TakeoverSkipsFate => RACE,
]);
fn an_owner_may_let_go_body() {
    let stage = Stage::new(Deadline::Someday);
    let (owner, waiter) = (stage.holder(), stage.thread());
    let waiter = spawn(&stage, move |stage| {
        let acquired = stage.acquire(&waiter, Deadline::NEVER);
        if acquired.is_ok() {
            stage.data.set(stage.data.get() + 1);
            stage.release(&waiter);
        }
        acquired.map_err(|error| error.status())
    });
    stage.advance(State::Finalizing);
    let clock = thread::spawn(sync::strike);
    stage.data.set(1);
    stage.release(&owner);
    let result = waiter.join().unwrap();
    assert!(matches!(result, Ok(Acquired::Released) | Err(Status::OwnerBlocked)));
    clock.join().unwrap();
    let late = stage.thread();
    assert_eq!(status(stage.acquire(&late, Deadline::Past)), Status::Ok, "it is free");
}

model!(nobody_is_inside_after_the_freeze, None, nobody_is_inside_body, [
    EnterSkipsRecheck => RACE,
    LeaveWakesNobody => DEADLOCK,
    WatchSkipsMoves => DEADLOCK,
    SeqCstIsAcqRel => RACE,
]);
fn nobody_is_inside_body() {
    let stage = Stage::new(Deadline::NEVER);
    let place = Arc::new(Place::new());
    let (me, thread) = (stage.thread(), stage.thread());
    let its = place.clone();
    let thread = spawn(&stage, move |stage| {
        let entered = stage.gate.enter(&its, thread.id());
        if entered {
            stage.data.set(stage.data.get() + 1);
            stage.gate.depart(&its, Position::Outside);
        }
        entered
    });
    assert!(stage.gate.begin(me.id()));
    stage.gate.advance(State::Finalizing);
    assert!(stage.gate.wait_until(Deadline::NEVER, || place.position() != Position::Inside));
    let frozen = stage.data.get();
    stage.data.set(frozen);
    assert_eq!(u32::from(thread.join().unwrap()), frozen);
}

model!(the_last_to_leave_wakes_the_freezer, Some(4), the_last_to_leave_body, [
    LeaveWakesNobody => DEADLOCK,
    WatchSkipsMoves => DEADLOCK,
    SeqCstIsAcqRel => DEADLOCK,
]);
fn the_last_to_leave_body() {
    let stage = Stage::new(Deadline::NEVER);
    let me = stage.thread();
    let places = [(); 2].map(|()| {
        let (place, thread) = (Arc::new(Place::new()), stage.thread());
        assert!(stage.gate.enter(&place, thread.id()));
        let its = place.clone();
        (place, spawn(&stage, move |stage| stage.gate.depart(&its, Position::Outside)))
    });
    assert!(stage.gate.begin(me.id()));
    stage.gate.advance(State::Finalizing);
    let outside = |place: &Place| place.position() == Position::Outside;
    assert!(stage.gate.wait_until(Deadline::NEVER, || places.iter().all(|(p, _)| outside(p))));
    for (_, thread) in places {
        thread.join().unwrap();
    }
}

// The whole: a thread inside holds the lock and comes to a checkpoint, while the freezer freezes
// and then flushes what the lock protects. In the second model a native thread wants it too.
model!(a_freeze_recovers_what_a_checkpoint_stopped, None, || freeze_and_flush(0), [
    LeaveWakesNobody => DEADLOCK,
    SeqCstIsAcqRel => DEADLOCK,
]);
model!(a_freeze_recovers_it_once, Some(2), || freeze_and_flush(1), [
    LeaveWakesNobody => DEADLOCK,
    TakeoverSkipsFate => RACE,
    TakeoverWithoutCompare => RACE,
]);
fn freeze_and_flush(natives: usize) {
    let stage = Stage::new(Deadline::NEVER);
    let place = Arc::new(Place::new());
    let (me, daemon) = (stage.thread(), stage.holder());
    assert!(stage.gate.enter(&place, daemon.id()));
    let its = place.clone();
    let daemon = spawn(&stage, move |stage| {
        stage.data.set(1);
        if stage.gate.is_shut() {
            stage.owners.park_for_good(&daemon);
            stage.gate.depart(&its, Position::Parked);
        } else {
            stage.release(&daemon);
            stage.gate.depart(&its, Position::Outside);
        }
    });
    let natives = Vec::from_iter((0..natives).map(|_| {
        let native = stage.thread();
        spawn(&stage, move |stage| stage.count_one(&native))
    }));
    assert!(stage.gate.begin(me.id()));
    stage.advance(State::Finalizing);
    assert!(stage.gate.wait_until(Deadline::NEVER, || place.position() != Position::Inside));
    let mut acquired = vec![stage.count_one(&me)];
    acquired.extend(natives.into_iter().map(|native| native.join().unwrap()));
    daemon.join().unwrap();
    let recovered = acquired.iter().filter(|a| **a == Acquired::Recovered).count();
    let parked = place.position() == Position::Parked;
    assert_eq!(recovered, usize::from(parked), "one is recovered");
    assert_eq!(stage.data.get() as usize, 1 + acquired.len());
}
