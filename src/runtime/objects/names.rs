//! Names, each kept once however many objects bear it, and as long as one does.

use crate::status::{Result, Status};
use crate::sync::Arc;
use std::collections::BTreeMap;

/// The names in use, by number.
pub(crate) struct Names {
    entries: Vec<Entry>,
    free: Vec<u32>,
    numbers: BTreeMap<Arc<str>, u32>,
    /// The one used last: objects of one kind are often tracked in a row.
    recent: u32,
}

struct Entry {
    text: Arc<str>,
    /// How many objects bear it; 0 while the entry is free.
    users: u32,
}

impl Names {
    pub(crate) const fn new() -> Names {
        Names { entries: Vec::new(), free: Vec::new(), numbers: BTreeMap::new(), recent: 0 }
    }

    /// The number of `name`, which one object more bears.
    pub(crate) fn take(&mut self, name: &str) -> Result<u32> {
        let recent = self.entries.get(self.recent as usize);
        let known = match recent {
            Some(entry) if entry.users > 0 && *entry.text == *name => Some(self.recent),
            _ => self.numbers.get(name).copied(),
        };
        let number = match known {
            Some(number) => number,
            None => self.add(name)?,
        };
        self.entries[number as usize].users += 1;
        self.recent = number;
        Ok(number)
    }

    fn add(&mut self, name: &str) -> Result<u32> {
        crate::sys::memory::spare(name.len())?;
        let text: Arc<str> = name.into();
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize].text = text.clone();
                number
            }
            None => {
                let no_memory = |_| Status::NoMemory.error();
                let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                self.entries.try_reserve(1).map_err(no_memory)?;
                // Freeing never allocates: there is room on the free list for every entry.
                self.free.try_reserve(self.entries.len() + 1).map_err(no_memory)?;
                self.entries.push(Entry { text: text.clone(), users: 0 });
                number
            }
        };
        self.numbers.insert(text, number);
        Ok(number)
    }

    /// One object less bears the name of this number.
    pub(crate) fn give_back(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        entry.users -= 1;
        if entry.users == 0 {
            self.numbers.remove(&entry.text);
            self.free.push(number);
        }
    }

    /// The name of this number.
    pub(crate) fn text(&self, number: u32) -> &Arc<str> {
        &self.entries[number as usize].text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_forgotten_with_its_last_bearer() {
        let mut names = Names::new();
        let (a, b) = (names.take("a").unwrap(), names.take("b").unwrap());
        assert_eq!((names.take("a").unwrap(), names.take("b").unwrap()), (a, b));
        names.give_back(a);
        assert_eq!(&**names.text(a), "a");
        names.give_back(a);
        assert_eq!(names.take("c").unwrap(), a, "its place is used again");
        assert_eq!((&**names.text(a), &**names.text(b)), ("c", "b"));
        assert_ne!(names.take("a").unwrap(), a);
    }

    #[test]
    fn names_that_come_and_go_take_no_more_room() {
        let mut names = Names::new();
        for n in 0..10_000 {
            let number = names.take(&format!("connection {n}")).unwrap();
            names.give_back(number);
        }
        assert_eq!((names.entries.len(), names.numbers.len()), (1, 0));
    }
}
