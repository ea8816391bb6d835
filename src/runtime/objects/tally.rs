//! How often something happened, by what it happened to; with a bound on how many are told apart.

use std::collections::BTreeMap;

/// How many names a report tells apart; what goes beyond is counted in one.
const MOST: usize = 1000;

/// Counts by key.
pub(crate) struct Tally<K> {
    counts: BTreeMap<K, u64>,
    beyond: u64,
}

impl<K: Ord> Tally<K> {
    pub(crate) const fn new() -> Tally<K> {
        Tally { counts: BTreeMap::new(), beyond: 0 }
    }

    /// Counts `times` more for `key`.
    pub(crate) fn add(&mut self, key: K, times: u64) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count += times;
        } else if self.counts.len() < MOST && crate::sys::memory::spare(0).is_ok() {
            self.counts.insert(key, times);
        } else {
            self.beyond += times;
        }
    }

    /// What was counted, and what went beyond the bound as one, with no key.
    pub(crate) fn into_counts(self) -> impl Iterator<Item = (Option<K>, u64)> {
        let beyond = (self.beyond > 0).then_some((None, self.beyond));
        self.counts.into_iter().map(|(key, count)| (Some(key), count)).chain(beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_names_there_are_nothing_goes_uncounted() {
        let mut tally = Tally::new();
        for n in 0..5_000 {
            tally.add(n % 2_500, 2);
        }
        let counts: Vec<_> = tally.into_counts().collect();
        assert_eq!(counts.len(), MOST + 1);
        assert_eq!(counts[7], (Some(7), 4));
        assert_eq!(counts[MOST], (None, 6_000));
    }
}
