//! What the models play on.

use loom::cell::UnsafeCell;
use loom::thread;
use rtfinalize::lock::buffered::{Acquired, BufferedLock, Rules};
use rtfinalize::lock::grace::GraceSpan;
use rtfinalize::runtime::lifecycle::{Gate, State};
use rtfinalize::status::{Result, Status};
use rtfinalize::sync::{self, Arc, AtomicU32, Deadline, Ordering};
use rtfinalize::thread::record::{Owner, OwnerId, OwnerRef, Owners};

/// A process of one runtime, with one lock and what it protects.
pub struct Stage {
    pub owners: Owners,
    pub gate: Gate,
    pub lock: BufferedLock,
    pub data: Data,
    epoch: AtomicU32,
    /// What a waiter gets once the runtime finalizes.
    grace: Deadline,
}

impl Stage {
    pub fn new(grace: Deadline) -> Arc<Stage> {
        sync::set_up();
        Arc::new(Stage {
            owners: Owners::new(),
            gate: Gate::new(),
            lock: BufferedLock::new(),
            data: Data(UnsafeCell::new(0)),
            epoch: AtomicU32::new(0),
            grace,
        })
    }

    pub fn thread(&self) -> OwnerRef {
        self.owners.introduce(0).expect("a model has room")
    }

    /// A thread that holds the lock, which was free.
    pub fn holder(&self) -> OwnerRef {
        let owner = self.thread();
        assert!(self.lock.take_free(owner.id()));
        owner
    }

    pub fn acquire(&self, me: &Owner, deadline: Deadline) -> Result<Acquired> {
        self.lock.acquire_as(me, self, deadline)
    }

    pub fn release(&self, me: &Owner) {
        self.lock.release_as(me.id()).expect("held");
    }

    /// Acquires, whatever it takes; counts one in the data; releases.
    pub fn count_one(&self, me: &Owner) -> Acquired {
        let acquired = self.acquire(me, Deadline::NEVER).expect("nothing bounds the wait");
        self.data.set(self.data.get() + 1);
        self.release(me);
        acquired
    }

    /// As the runtime does when its state moves.
    pub fn advance(&self, state: State) {
        self.gate.advance(state);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.owners.wake_waiters();
    }
}

impl Rules for Stage {
    fn find(&self, id: OwnerId) -> Option<OwnerRef> {
        self.owners.find(id)
    }

    fn grace(&self, _: u32, _: OwnerId) -> Option<GraceSpan> {
        (self.gate.state() >= State::Finalizing).then(|| GraceSpan::until(self.grace))
    }

    fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::SeqCst)
    }
}

/// Data for one thread at a time; loom fails the model if two meet here unordered.
pub struct Data(UnsafeCell<u32>);

// SAFETY: loom checks every access against all others.
unsafe impl Sync for Data {}

impl Data {
    pub fn get(&self) -> u32 {
        // SAFETY: see `Sync`.
        self.0.with(|data| unsafe { *data })
    }

    pub fn set(&self, value: u32) {
        // SAFETY: see `Sync`.
        self.0.with_mut(|data| unsafe { *data = value });
    }
}

pub fn spawn<T: 'static>(
    stage: &Arc<Stage>,
    body: impl FnOnce(&Stage) -> T + 'static,
) -> thread::JoinHandle<T> {
    let stage = stage.clone();
    thread::spawn(move || body(&stage))
}

pub fn status<T>(result: Result<T>) -> Status {
    result.err().map_or(Status::Ok, |error| error.status())
}
