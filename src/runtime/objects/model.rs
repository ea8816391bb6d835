//! The slab against a plain list, under any mix of operations.

use super::slab::{Objects, Stage};
use crate::status::Status;
use crate::thread::host_call::ObjectCalls;
use std::collections::{BTreeMap, BTreeSet};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// What the slab should hold, told simply.
#[derive(Default)]
struct Plain {
    /// Oldest first.
    waiting: Vec<u64>,
    finalized: Vec<u64>,
    gone: Vec<u64>,
    /// (dependent, on)
    edges: BTreeSet<(u64, u64)>,
}

impl Plain {
    fn reaches(&self, from: u64, to: u64) -> bool {
        let needs = self.edges.range((from, 0)..=(from, u64::MAX));
        from == to || needs.into_iter().any(|&(_, on)| self.reaches(on, to))
    }

    fn drop_edges(&mut self, object: u64) {
        self.edges.retain(|&(dependent, on)| dependent != object && on != object);
    }
}

fn check_next(objects: &mut Objects, plain: &mut Plain) -> bool {
    let Some(next) = objects.next_waiting() else {
        assert!(plain.waiting.is_empty());
        return false;
    };
    let next = next.handle;
    assert!(plain.waiting.contains(&next));
    assert!(!plain.edges.iter().any(|&(_, on)| on == next), "something depends on it still");
    if plain.edges.is_empty() {
        assert_eq!(plain.waiting.last(), Some(&next), "the youngest goes first");
    }
    objects.begin(next).unwrap();
    assert_eq!(objects.stage(next).unwrap(), Stage::Finalizing);
    assert!(objects.finished(next).unwrap());
    plain.waiting.retain(|&object| object != next);
    plain.finalized.push(next);
    plain.drop_edges(next);
    true
}

#[test]
fn any_mix_of_operations_leaves_what_a_plain_list_would_hold() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let (mut objects, mut plain) = (Objects::new(), Plain::default());
        let mut names = BTreeMap::new();
        for step in 0..2_000 {
            match random.below(12) {
                0..=4 => {
                    let name = format!("kind {}", random.below(20));
                    let handle = objects.track(&name, ObjectCalls::NONE).unwrap();
                    plain.waiting.push(handle);
                    names.insert(handle, name);
                }
                5..=6 if !plain.waiting.is_empty() => {
                    let handle = plain.waiting.remove(random.below(plain.waiting.len()));
                    assert_eq!(*objects.take(handle).unwrap().name, *names[&handle]);
                    plain.drop_edges(handle);
                    plain.gone.push(handle);
                }
                7..=8 if !plain.waiting.is_empty() && plain.edges.len() < 40 => {
                    let dependent = plain.waiting[random.below(plain.waiting.len())];
                    let on = plain.waiting[random.below(plain.waiting.len())];
                    let refused = objects.depend(dependent, on).err().map(|error| error.status());
                    let cycle = plain.reaches(on, dependent);
                    assert_eq!(refused, cycle.then_some(Status::Cycle));
                    if !cycle {
                        plain.edges.insert((dependent, on));
                    }
                }
                // Rarely, so that a list grows.
                9 if step % 3 == 0 => drop(check_next(&mut objects, &mut plain)),
                10 if !plain.finalized.is_empty() => {
                    let first = plain.finalized.remove(0);
                    assert_eq!(objects.take_finalized().map(|object| object.handle), Some(first));
                    plain.gone.push(first);
                }
                _ if !plain.gone.is_empty() => {
                    let stale = plain.gone[random.below(plain.gone.len())];
                    assert_eq!(objects.take(stale).err().unwrap().status(), Status::Handle);
                }
                _ => {}
            }
            assert_eq!(objects.waiting_len(), plain.waiting.len() as u64);
        }
        while check_next(&mut objects, &mut plain) {}
        for handle in plain.finalized {
            assert_eq!(objects.take_finalized().map(|object| object.handle), Some(handle));
        }
        assert!(objects.take_finalized().is_none());
    }
}
