//! The lock among owners that live.

use crate::stage::{Stage, spawn, status};
use loom::thread;
use rtfinalize::lock::buffered::Acquired;
use rtfinalize::status::Status;
use rtfinalize::sync::{self, Deadline};

model!(two_threads_take_turns, None, two_threads_take_turns_body, [
    ReleaseForgetsWaiters => DEADLOCK,
]);
fn two_threads_take_turns_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (me, other) = (stage.thread(), stage.thread());
    let other = spawn(&stage, move |stage| stage.count_one(&other));
    assert_eq!(stage.count_one(&me), Acquired::Released);
    assert_eq!(other.join().unwrap(), Acquired::Released);
    assert_eq!(stage.data.get(), 2);
    assert_eq!(stage.lock.holder(), None);
}

model!(a_release_serves_two_waiters, Some(4), a_release_serves_two_waiters_body, [
    ReleaseForgetsWaiters => DEADLOCK,
    ReleaseForgetsTheRest => DEADLOCK,
    TakerDropsWaiters => DEADLOCK,
    TakeoverWithoutCompare => RACE,
]);
fn a_release_serves_two_waiters_body() {
    let stage = Stage::new(Deadline::NEVER);
    let me = stage.holder();
    let waiters = [(); 2].map(|()| {
        let waiter = stage.thread();
        spawn(&stage, move |stage| stage.count_one(&waiter))
    });
    stage.data.set(1);
    stage.release(&me);
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Acquired::Released);
    }
    assert_eq!(stage.data.get(), 3);
}

// One that times out must not take a wake-up with it that another waits for.
model!(a_timeout_loses_no_wake_up, Some(3), a_timeout_loses_no_wake_up_body, [
    TimeoutWithoutLook => DEADLOCK,
    ReleaseForgetsWaiters => DEADLOCK,
]);
fn a_timeout_loses_no_wake_up_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (me, timed, untimed) = (stage.holder(), stage.thread(), stage.thread());
    let timed = spawn(&stage, move |stage| {
        let acquired = stage.acquire(&timed, Deadline::Someday);
        if acquired.is_ok() {
            stage.release(&timed);
        }
        status(acquired)
    });
    let untimed = spawn(&stage, move |stage| stage.count_one(&untimed));
    let clock = thread::spawn(sync::strike);
    stage.release(&me);
    assert_eq!(untimed.join().unwrap(), Acquired::Released);
    assert!(matches!(timed.join().unwrap(), Status::Ok | Status::Timeout));
    clock.join().unwrap();
    assert_eq!(stage.data.get(), 1);
}

// The bound is a bound: the owner lives and keeps the lock, and the waiter comes back.
model!(a_timeout_needs_no_release, None, a_timeout_needs_no_release_body, [
    TakeoverSkipsFate => "still held",
]);
fn a_timeout_needs_no_release_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (me, waiter) = (stage.holder(), stage.thread());
    let waiter = spawn(&stage, move |stage| status(stage.acquire(&waiter, Deadline::Someday)));
    sync::strike();
    assert_eq!(waiter.join().unwrap(), Status::Timeout, "still held");
    assert!(stage.lock.is_held_by(me.id()));
    stage.release(&me);
    assert!(stage.lock.take_free(me.id()), "what the waiter left behind does not bar the lock");
}

model!(a_live_owner_is_waited_for, None, a_live_owner_is_waited_for_body, [
    TakeoverSkipsFate => RACE,
    ReleaseForgetsWaiters => DEADLOCK,
]);
fn a_live_owner_is_waited_for_body() {
    let stage = Stage::new(Deadline::NEVER);
    let (me, waiter) = (stage.holder(), stage.thread());
    let waiter = spawn(&stage, move |stage| stage.count_one(&waiter));
    stage.data.set(1);
    stage.release(&me);
    assert_eq!(waiter.join().unwrap(), Acquired::Released);
    assert_eq!(stage.data.get(), 2);
}
