//! The order of handlers inside a phase: by number, and by name where one must come after another.
//!
//! A dependency beats a number; among handlers that may run, the smaller number does, then the older
//! one. The phase's own work takes part: a handler with a negative number is before it, any other
//! after. So "before" a handler that is itself before the work, from behind it, is a cycle like any
//! other, and is refused when the handler is registered.
//!
//! A name nobody has is waited for by nobody; it counts as soon as a handler of that name comes.

use super::{Handler, Side};
use crate::sync::Arc;
use std::collections::BTreeMap;

impl Handler {
    /// Whether it takes part in an order by name.
    pub(crate) fn has_dependencies(&self) -> bool {
        !self.after.is_empty() || !self.before.is_empty()
    }

    /// Whether a name says that it comes before `other`.
    fn precedes(&self, other: &Handler) -> bool {
        let says = |names: &[Box<str>], name: &str| names.iter().any(|known| **known == *name);
        says(&self.before, &other.name) || says(&other.after, &self.name)
    }
}

/// The cycle that `new` would close among `others` of its phase, in words; `None` if it closes none.
pub(crate) fn cycle(others: &[Arc<Handler>], new: &Arc<Handler>) -> Option<String> {
    let all: Vec<&Handler> = others.iter().chain([new]).map(|handler| &**handler).collect();
    let (goal, work) = (all.len() - 1, all.len());
    // One more than there are handlers: the phase's own work.
    let leads_to = |from: usize, to: usize| match (all.get(from), all.get(to)) {
        (Some(from), Some(to)) => from.precedes(to),
        (Some(from), None) => from.side() == Side::BeforeWork,
        (None, Some(to)) => to.side() == Side::AfterWork,
        (None, None) => false,
    };
    // Breadth first, so that the cycle told is a shortest one.
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut reached = vec![goal];
    let mut next = 0;
    while let Some(&from) = reached.get(next) {
        next += 1;
        for to in (0..=work).filter(|&to| leads_to(from, to)) {
            if to == goal {
                let mut path = vec![goal, from];
                while let Some(&before) = path.last().and_then(|at| came_from.get(at)) {
                    path.push(before);
                }
                let name = |&at: &usize| match all.get(at) {
                    Some(handler) => format!("'{}'", handler.name),
                    None => "the phase's own work".to_owned(),
                };
                path.reverse();
                return Some(path.iter().map(name).collect::<Vec<_>>().join(" before "));
            }
            if came_from.contains_key(&to) {
                continue;
            }
            came_from.insert(to, from);
            reached.push(to);
        }
    }
    None
}

/// Handlers of one phase and side, in their order. There is no cycle among them.
pub(crate) fn sorted(mut left: Vec<Arc<Handler>>) -> Vec<Arc<Handler>> {
    left.sort_by_key(|handler| (handler.order, handler.id));
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let ready = left.iter().position(|one| !left.iter().any(|other| other.precedes(one)));
        order.push(left.remove(ready.unwrap_or(0)));
    }
    order
}
