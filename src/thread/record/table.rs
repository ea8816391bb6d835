//! The records of all threads, found by id without a lock.
//!
//! ```text
//!   id:  generation (40) | index of the record (22)
//! ```
//!
//! Records stand in a row and are used again. A record counts who refers to it: the table while the thread
//! has not exited, and everybody with an [`OwnerRef`]. With the last reference it goes to another thread,
//! under the next generation. One whose generations are used up is not used again, so no id ever names
//! two threads.
//!
//! A look by id first adds a reference, unless there is none left, and then asks the record whose it is. So
//! a signal handler can look over any code, and the record it found stays what it is.

use super::{EXITED, FATE_MASK, Owner, OwnerId};
use crate::status::{Result, Status};
use crate::sync::slab::Slab;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use std::ops::Deref;

const INDEX_BITS: u32 = 22;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const LAST_GENERATION: u64 = (1 << 40) - 1;

static RECORDS: Slab<Owner> = Slab::new();

/// What the table keeps in a record.
#[derive(Default)]
pub(super) struct Place {
    references: AtomicU32,
    generation: AtomicU64,
    index: AtomicU32,
}

/// A reference to a thread's record, which keeps it that thread's.
pub struct OwnerRef(&'static Owner);

impl OwnerRef {
    /// A reference of its own to a record that the caller has kept a reference to.
    pub fn of(owner: &'static Owner) -> OwnerRef {
        let kept = std::mem::ManuallyDrop::new(OwnerRef(owner));
        OwnerRef::clone(&kept)
    }

    /// Keeps the reference, in a place that is not dropped.
    pub fn keep(owner: OwnerRef) -> &'static Owner {
        std::mem::ManuallyDrop::new(owner).0
    }

    /// Takes back what [`keep`](OwnerRef::keep) kept. To be called once for it.
    pub fn of_kept(owner: &'static Owner) -> OwnerRef {
        OwnerRef(owner)
    }

    /// A reference to the record, if it is this thread's and somebody else refers to it.
    pub fn look(owner: &'static Owner, id: OwnerId) -> Option<OwnerRef> {
        let add = |count: u32| if count == 0 { None } else { count.checked_add(1) };
        // SeqCst: pairs with the store in `insert`.
        owner.place.references.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add).ok()?;
        let owner = OwnerRef(owner);
        // SeqCst: as in `Owner::fate`.
        (owner.word.load(Ordering::SeqCst) >> super::LIVENESS_BITS == id.get()).then_some(owner)
    }
}

impl Clone for OwnerRef {
    fn clone(&self) -> OwnerRef {
        // Relaxed: this reference keeps the record.
        self.0.place.references.fetch_add(1, Ordering::Relaxed);
        OwnerRef(self.0)
    }
}

impl Drop for OwnerRef {
    fn drop(&mut self) {
        // Release: what was done by this reference is done before another thread has the record.
        if self.0.place.references.fetch_sub(1, Ordering::Release) == 1 {
            recycle(self.0);
        }
    }
}

impl Deref for OwnerRef {
    type Target = Owner;
    fn deref(&self) -> &Owner {
        self.0
    }
}

#[cold]
fn recycle(owner: &'static Owner) {
    // Pairs with the Release of every reference that went.
    fence::acquire();
    owner.forget();
    if owner.place.generation.load(Ordering::Relaxed) < LAST_GENERATION {
        RECORDS.give_back(owner.place.index.load(Ordering::Relaxed));
    }
}

/// The records of threads that have not exited.
pub(super) struct Table(());

impl Table {
    pub const fn new() -> Table {
        Table(())
    }

    /// A record for the calling thread.
    pub fn insert(&self, tid: u32) -> Result<OwnerRef> {
        let (index, owner) = RECORDS.take()?;
        let too_many = || Status::NoMemory.because("no room for another thread");
        let id = u64::from(index);
        if id > INDEX_MASK {
            RECORDS.give_back(index);
            return Err(too_many());
        }
        let place = &owner.place;
        place.index.store(index, Ordering::Relaxed);
        let generation = place.generation.load(Ordering::Relaxed) + 1;
        place.generation.store(generation, Ordering::Relaxed);
        let id = OwnerId::new(generation << INDEX_BITS | id).ok_or_else(too_many)?;
        owner.begin(id, tid);
        // SeqCst: a reader that adds a reference finds the record begun; and see `each`. The first of the two
        // references is the table's.
        place.references.store(2, Ordering::SeqCst);
        Ok(OwnerRef(owner))
    }

    pub fn find(&self, id: OwnerId) -> Option<OwnerRef> {
        let owner = RECORDS.get((id.get() & INDEX_MASK) as u32)?;
        // SeqCst: as in `Owner::fate`, for a look that finds the thread exited.
        OwnerRef::look(owner, id)
            .filter(|owner| owner.word.load(Ordering::SeqCst) & FATE_MASK != EXITED)
    }

    /// Looks at every thread that has not exited.
    ///
    /// All accesses by which a new record is found are SeqCst. So a thread that changes its fate and misses
    /// a record here is seen by that record's thread, which has listed itself as waiting before it asks.
    pub fn each(&self, mut look: impl FnMut(&Owner)) {
        for owner in RECORDS.iter() {
            // SeqCst: as in `find`.
            let word = owner.word.load(Ordering::SeqCst);
            if let Some(id) = OwnerId::new(word >> super::LIVENESS_BITS)
                && let Some(owner) = self.find(id)
            {
                look(&owner);
            }
        }
    }

    /// Whether something is so of any record, also of one that is nobody's.
    pub fn any(&self, is_so: impl Fn(&Owner) -> bool) -> bool {
        RECORDS.iter().any(is_so)
    }

    /// The thread has exited, and is not found any more.
    pub fn remove(&self, owner: &Owner) {
        if let Some(owner) = RECORDS.get(owner.place.index.load(Ordering::Relaxed)) {
            drop(OwnerRef(owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::thread::record::{Liveness, Owners};

    #[test]
    fn a_record_is_used_again_under_another_id_once_nobody_refers_to_it() {
        let owners = Owners::new();
        let first = owners.introduce(1).unwrap();
        let (id, kept) = (first.id(), first.clone());
        owners.retire(&first);
        drop(first);
        assert!(owners.find(id).is_none());
        assert_eq!((kept.id(), kept.liveness(), kept.tid()), (id, Liveness::Exited, 1));
        let others: Vec<_> = (0..100).map(|tid| owners.introduce(tid).unwrap()).collect();
        assert!(others.iter().all(|other| other.id() != id));
        assert_eq!(kept.id(), id, "a record that is referred to stays that thread's");
        for other in &others {
            owners.retire(other);
        }
    }

    #[test]
    fn a_look_for_a_thread_finds_that_thread_or_nobody() {
        let owners = Owners::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = None;
                    for tid in 0..20_000 {
                        let owner = owners.introduce(tid).unwrap();
                        let id = owner.id();
                        assert_eq!(owners.find(id).map(|found| found.tid()), Some(tid));
                        if let Some(last) = last.replace(id) {
                            assert!(owners.find(last).is_none());
                        }
                        owners.retire(&owner);
                    }
                });
            }
        });
    }
}
