//! The handlers that a host hangs on phases, in the order in which they run.

mod order;

use crate::phase::Phase;
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::thread::host_call::HostCall;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What a shutdown does with a piece of work: a thread's, or a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Work {
    /// It is done: the thread is waited for, the handler is run.
    #[default]
    Block = 1,
    /// What has begun is finished, and no more begins: the thread is waited for only while it is
    /// inside, and cannot enter any more; the handler is left out once its phase's time is out.
    Skip = 2,
    /// It is not waited for: a daemon thread; a handler that is started in its turn, once, on a
    /// thread of the library's.
    Continue = 3,
    /// As `Block`, of a handler that never waits: no thread is begun to watch it.
    Brief = 4,
}

impl Work {
    /// The policy of this number.
    pub fn from_number(number: u32) -> Option<Work> {
        let all = [Work::Block, Work::Skip, Work::Continue, Work::Brief];
        all.into_iter().find(|work| *work as u32 == number)
    }
}

/// A host's handler on a phase.
pub struct Handler {
    /// Its identity, for removal.
    pub id: u64,
    /// Its phase.
    pub phase: Phase,
    /// Below zero it runs before the phase's own work, from zero on after it; smaller runs first.
    pub order: i32,
    /// The name reports use, and other handlers' dependencies.
    pub name: Box<str>,
    /// Names of handlers of the phase that run before it.
    pub after: Box<[Box<str>]>,
    /// Names of handlers of the phase that run after it.
    pub before: Box<[Box<str>]>,
    /// What a shutdown does with it.
    pub work: Work,
    /// The last turn it had.
    pub(crate) last_turn: AtomicU64,
    /// What it does.
    pub call: HostCall,
}

/// Where in its phase a handler runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandlerOptions {
    /// As [`Handler::order`].
    pub order: i32,
    /// As [`Handler::after`].
    pub after: Box<[Box<str>]>,
    /// As [`Handler::before`].
    pub before: Box<[Box<str>]>,
    /// As [`Handler::work`].
    pub work: Work,
}

impl Handler {
    /// On which side of the phase's own work it runs.
    pub fn side(&self) -> Side {
        if self.order < 0 { Side::BeforeWork } else { Side::AfterWork }
    }
}

/// The handlers of a runtime, in the order in which they run.
#[derive(Default)]
pub struct Handlers {
    in_order: BTreeMap<Key, Arc<Handler>>,
    by_id: BTreeMap<u64, Key>,
    /// Phases in which some handler was ordered by name.
    by_name: BTreeSet<Phase>,
    turns: u64,
}

/// The phase, and the place in it: the order, which a dependency may have raised; a number that tells
/// those apart whose ages are against their dependencies; the age.
type Key = (Phase, i32, u32, u64);

/// Which of a phase's handlers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those with a negative order.
    BeforeWork,
    /// The others.
    AfterWork,
}

/// How far a run over one side of a phase has come.
pub struct Turn {
    phase: Phase,
    side: Side,
    last: Option<Key>,
    /// Which turn it is: handlers that had it know, for a newcomer's dependencies may move them.
    number: u64,
    /// Handlers from this identity on came during the run.
    began: u64,
}

impl Handlers {
    /// None.
    pub const fn new() -> Handlers {
        Handlers {
            in_order: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_name: BTreeSet::new(),
            turns: 0,
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// `Cycle` if its dependencies close one, which the error prints; `NoMemory`.
    pub fn add(&mut self, handler: Arc<Handler>) -> Result<()> {
        let phase = handler.phase;
        if !handler.has_dependencies() && !self.by_name.contains(&phase) {
            self.place((phase, handler.order, 0, handler.id), handler);
            return Ok(());
        }
        // The phase is sorted anew, and the cycle looked for, in lists of its handlers.
        crate::sys::memory::spare(self.in_order.len() * 512)?;
        let mut all = self.of(phase);
        if let Some(cycle) = order::cycle(&all, &handler) {
            return Err(Status::Cycle.because(format!("a cycle in the order: {cycle}")));
        }
        self.by_name.insert(phase);
        all.push(handler);
        self.in_order.retain(|key, _| key.0 != phase);
        let (before, after) = all.into_iter().partition(|h| h.side() == Side::BeforeWork);
        for side in [before, after] {
            let (mut order, mut tie, mut id) = (i32::MIN, 0, 0);
            for handler in order::sorted(side) {
                if handler.order > order {
                    (order, tie) = (handler.order, 0);
                } else if handler.id < id {
                    tie += 1;
                }
                id = handler.id;
                self.place((phase, order, tie, id), handler);
            }
        }
        Ok(())
    }

    fn place(&mut self, key: Key, handler: Arc<Handler>) {
        self.by_id.insert(handler.id, key);
        self.in_order.insert(key, handler);
    }

    fn of(&self, phase: Phase) -> Vec<Arc<Handler>> {
        let first = Bound::Included((phase, i32::MIN, 0, 0));
        let range = self.in_order.range((first, Bound::Unbounded));
        range.take_while(|(key, _)| key.0 == phase).map(|(_, handler)| handler.clone()).collect()
    }

    /// Takes one out. The others keep their places.
    pub fn remove(&mut self, id: u64) -> Option<Arc<Handler>> {
        let key = self.by_id.remove(&id)?;
        self.in_order.remove(&key)
    }

    /// Begins a run over one side of a phase; `next_id` is the identity the next handler will get.
    pub fn turn(&mut self, phase: Phase, side: Side, next_id: u64) -> Turn {
        self.turns += 1;
        Turn { phase, side, last: None, number: self.turns, began: next_id }
    }

    /// The next one to run. Allocates nothing.
    ///
    /// Handlers are asked for one at a time, so that one may add or remove others while it runs. One
    /// that came during the run has its turn if its place is still ahead.
    pub fn next(&self, turn: &mut Turn) -> Option<Arc<Handler>> {
        let (phase, side) = (turn.phase, turn.side);
        let by_name = self.by_name.contains(&phase);
        let first = match (turn.last, side) {
            (Some(last), _) if !by_name => Bound::Excluded(last),
            (_, Side::AfterWork) => Bound::Included((phase, 0, 0, 0)),
            (_, Side::BeforeWork) => Bound::Included((phase, i32::MIN, 0, 0)),
        };
        let belongs = |handler: &Handler| handler.phase == phase && handler.side() == side;
        // Where there are names, a newcomer may have moved the others: also behind this place.
        let has_turn = |key: &Key, handler: &Handler| {
            !by_name
                || handler.last_turn.load(Ordering::Relaxed) != turn.number
                    && (handler.id < turn.began || turn.last.is_none_or(|last| *key > last))
        };
        let range = self.in_order.range((first, Bound::Unbounded));
        let mut ahead = range.take_while(|(_, handler)| belongs(handler));
        let (key, next) = ahead.find(|(key, handler)| has_turn(key, handler))?;
        turn.last = Some(*key);
        // Relaxed, as above: only read and written under the lock of the registrations.
        next.last_turn.store(turn.number, Ordering::Relaxed);
        Some(next.clone())
    }
}
