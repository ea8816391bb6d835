//! The table of records in a model: what the real one promises, under a mutex.

use super::{EXITED, FATE_MASK, Owner, OwnerId};
use crate::status::Result;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use std::collections::BTreeMap;

/// What the table keeps in a record.
#[derive(Default)]
pub(super) struct Place;

/// A reference to a thread's record.
pub type OwnerRef = Arc<Owner>;

/// The records of threads that have not exited.
pub(super) struct Table {
    next: AtomicU64,
    records: Mutex<BTreeMap<OwnerId, OwnerRef>>,
}

#[allow(missing_docs, reason = "as of the real table")]
impl Table {
    pub fn new() -> Table {
        Table { next: AtomicU64::new(1), records: Mutex::new(BTreeMap::new()) }
    }

    pub fn insert(&self, tid: u32) -> Result<OwnerRef> {
        // Relaxed: only uniqueness matters.
        let id = OwnerId::new(self.next.fetch_add(1, Ordering::Relaxed)).expect("ids start at 1");
        let owner = Arc::new(Owner::default());
        owner.begin(id, tid);
        self.records.lock().insert(id, owner.clone());
        Ok(owner)
    }

    pub fn find(&self, id: OwnerId) -> Option<OwnerRef> {
        let found = self.records.lock().get(&id).cloned();
        found.filter(|owner| owner.word.load(Ordering::SeqCst) & FATE_MASK != EXITED)
    }

    pub fn each(&self, look: impl FnMut(&Owner)) {
        let all: Vec<_> = self.records.lock().values().cloned().collect();
        all.iter().map(|owner| &**owner).for_each(look);
    }

    pub fn remove(&self, owner: &Owner) {
        self.records.lock().remove(&owner.id());
    }
}
