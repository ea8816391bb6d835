//! Which object must go before which, for the few that say so.
//!
//! Only objects that wait to be finalized stand here: whoever is finalized, or leaves, takes its
//! dependencies along. So whatever is found here still has to be waited for.

use std::collections::{BTreeMap, BTreeSet};

/// Dependencies between objects, which are numbers here.
pub(crate) struct Dependencies {
    /// (object, one that depends on it): the second goes first.
    dependents: BTreeSet<(u32, u32)>,
    /// The same, turned round.
    needs: BTreeSet<(u32, u32)>,
}

fn of(pairs: &BTreeSet<(u32, u32)>, object: u32) -> impl DoubleEndedIterator<Item = u32> {
    pairs.range((object, 0)..=(object, u32::MAX)).map(|&(_, other)| other)
}

impl Dependencies {
    pub(crate) const fn new() -> Dependencies {
        Dependencies { dependents: BTreeSet::new(), needs: BTreeSet::new() }
    }

    /// `dependent` is to go before `on`.
    pub(crate) fn add(&mut self, dependent: u32, on: u32) {
        self.dependents.insert((on, dependent));
        self.needs.insert((dependent, on));
    }

    /// `dependent` need not go before `on` any more.
    pub(crate) fn remove(&mut self, dependent: u32, on: u32) {
        self.dependents.remove(&(on, dependent));
        self.needs.remove(&(dependent, on));
    }

    /// One that must go before `object`: the youngest slot.
    pub(crate) fn dependent(&self, object: u32) -> Option<u32> {
        of(&self.dependents, object).next_back()
    }

    /// One that `object` depends on.
    fn need(&self, object: u32) -> Option<u32> {
        self.needs(object).next()
    }

    /// What `object` depends on.
    pub(crate) fn needs(&self, object: u32) -> impl Iterator<Item = u32> {
        of(&self.needs, object)
    }

    /// `object` goes, with all its dependencies.
    pub(crate) fn forget(&mut self, object: u32) {
        while let Some(on) = self.need(object) {
            self.remove(object, on);
        }
        while let Some(dependent) = self.dependent(object) {
            self.remove(dependent, object);
        }
    }

    /// The cycle that `dependent` depending on `on` would close: from `dependent` over `on` back to it.
    pub(crate) fn cycle(&self, dependent: u32, on: u32) -> Option<Vec<u32>> {
        if dependent == on {
            return Some(vec![dependent, dependent]);
        }
        // Dependencies are mostly declared from one end of a chain: there is nothing to search then.
        self.dependent(dependent)?;
        let mut came_from = BTreeMap::from([(on, dependent)]);
        let mut open = vec![on];
        while let Some(at) = open.pop() {
            for next in self.needs(at) {
                if next == dependent {
                    let mut back = vec![dependent];
                    let mut step = at;
                    while step != dependent {
                        back.push(step);
                        step = came_from[&step];
                    }
                    back.push(dependent);
                    back.reverse();
                    return Some(back);
                }
                came_from.entry(next).or_insert_with(|| {
                    open.push(next);
                    at
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_whole_and_only_where_there_is_one() {
        let mut dependencies = Dependencies::new();
        for (dependent, on) in [(1, 2), (2, 3), (2, 4), (4, 5), (6, 2)] {
            assert_eq!(dependencies.cycle(dependent, on), None);
            dependencies.add(dependent, on);
        }
        assert_eq!(dependencies.cycle(5, 1), Some(vec![5, 1, 2, 4, 5]));
        assert_eq!(dependencies.cycle(7, 7), Some(vec![7, 7]));
        assert_eq!(dependencies.cycle(3, 5), None);
        dependencies.forget(4);
        assert_eq!(dependencies.cycle(5, 1), None, "the way led over 4");
        assert_eq!((dependencies.dependent(5), dependencies.need(4)), (None, None));
        assert_eq!((dependencies.dependent(2), dependencies.need(2)), (Some(6), Some(3)));
    }
}
