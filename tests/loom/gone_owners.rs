//! Owners that go while they hold the lock, or just after.

use crate::stage::{Stage, spawn};
use rtfinalize::lock::buffered::Acquired;
use rtfinalize::sync::{self, Deadline, Parked};
use rtfinalize::thread::record::{Liveness, Owner, Owners};

/// An owner that goes by `go` in the middle of its work, and a waiter.
fn recovered_from(go: fn(&Owners, &Owner)) {
    let stage = Stage::new(Deadline::NEVER);
    let (owner, waiter) = (stage.holder(), stage.thread());
    let owner = spawn(&stage, move |stage| {
        stage.data.set(1);
        stage.lock.publish_progress(7);
        go(&stage.owners, &owner);
    });
    assert_eq!(stage.acquire(&waiter, Deadline::NEVER), Ok(Acquired::Recovered));
    assert_eq!(stage.lock.take_progress(), 7);
    assert_eq!(stage.data.get(), 1);
    stage.release(&waiter);
    owner.join().unwrap();
}

model!(a_parked_owner_is_recovered_from, None, || recovered_from(Owners::park_for_good), [
    GoneWakesNobody => DEADLOCK,
    SleepSkipsFate => DEADLOCK,
    SeqCstIsAcqRel => DEADLOCK,
]);

model!(an_exited_owner_is_recovered_from, None, || recovered_from(Owners::retire), [
    GoneWakesNobody => DEADLOCK,
    SleepSkipsFate => DEADLOCK,
    SeqCstIsAcqRel => DEADLOCK,
]);

model!(one_of_two_takers_recovers, Some(3), one_of_two_takers_recovers_body, [
    GoneWakesNobody => DEADLOCK,
    TakeoverWithoutCompare => "one recovers",
    ReleaseForgetsWaiters => DEADLOCK,
]);
fn one_of_two_takers_recovers_body() {
    let stage = Stage::new(Deadline::NEVER);
    let owner = stage.holder();
    let takers = [(); 2].map(|()| {
        let taker = stage.thread();
        spawn(&stage, move |stage| stage.count_one(&taker))
    });
    stage.data.set(1);
    stage.owners.park_for_good(&owner);
    let recovered = takers
        .map(|taker| taker.join().unwrap())
        .iter()
        .filter(|a| **a == Acquired::Recovered)
        .count();
    assert_eq!(recovered, 1, "one recovers");
    assert_eq!(stage.data.get(), 3);
}

// An owner that released and then went left nothing to recover.
model!(a_release_before_the_end_counts, None, a_release_before_the_end_counts_body, [
    TakeoverWithoutCompare => "nothing to recover",
]);
fn a_release_before_the_end_counts_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (owner, waiter) = (stage.holder(), stage.thread());
    let owner = spawn(&stage, move |stage| {
        stage.data.set(1);
        stage.release(&owner);
        stage.owners.park_for_good(&owner);
    });
    assert_eq!(stage.count_one(&waiter), Acquired::Released, "nothing to recover");
    assert_eq!(stage.data.get(), 2);
    owner.join().unwrap();
}

// A signal handler waits over a wait that sleeps already: both are listed.
model!(a_wait_below_a_signal_handler_is_woken, None, a_wait_below_a_signal_handler_body, [
    NoteHidesOuterNote => DEADLOCK,
    GoneWakesNobody => DEADLOCK,
]);
fn a_wait_below_a_signal_handler_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (owner, waiter) = (stage.thread(), stage.thread());
    let (outer, inner) = (0x10, 0x20);
    let going = owner.clone();
    let going = spawn(&stage, move |stage| stage.owners.park_for_good(&going));
    let below = waiter.waiting_at(outer);
    let above = waiter.waiting_at(inner);
    let parked = sync::park(outer, || owner.liveness() == Liveness::Running, Deadline::NEVER);
    assert_ne!(parked, Parked::TimedOut);
    drop(above);
    drop(below);
    going.join().unwrap();
}
