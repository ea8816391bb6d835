//! The tracked objects of a runtime, in memory of at most 48 bytes each.
//!
//! An object has a slot for as long as it is tracked. A handle is the slot's number and the generation
//! of its use, so one that is stale, or another runtime's, or a former life's, is told from a live
//! one. Slots come in chunks that never move: growing copies nothing, and wastes at most one chunk.
//!
//! ```text
//!   free ──track──▶ waiting ──begin──▶ finalizing ──finished──▶ finalized ──take──▶ free
//!                   youngest first                               in the order of their finalization
//! ```
//!
//! Deallocation follows the order in which objects were finalized, so that order is found once.

use super::dependencies::Dependencies;
use super::names::Names;
use super::tally::Tally;
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicU32, Ordering};
use crate::thread::host_call::ObjectCalls;

/// No slot.
const NONE: u32 = u32::MAX;
/// Slots in a chunk.
const CHUNK: usize = 256;
/// How many names of a cycle an error prints.
const CYCLE_SHOWN: usize = 12;

/// How far an object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Free,
    Waiting,
    Finalizing,
    Finalized,
}

struct Slot {
    name: u32,
    generation: u32,
    /// The neighbours on the list of its stage; `next` is the next free slot of a free one.
    previous: u32,
    next: u32,
    stage: Stage,
    /// One that depends on it lives on, so it must not be deallocated.
    kept: bool,
    /// It may stand among the dependencies.
    depends: bool,
}

/// Calls and slots apart, for their alignment: together they would be padded.
struct Chunk {
    calls: Vec<ObjectCalls>,
    slots: Vec<Slot>,
}

const _: () = assert!(size_of::<ObjectCalls>() + size_of::<Slot>() <= 44);

/// A list through the slots.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

/// An object out of its slot, or about to be called.
pub(crate) struct Taken {
    pub(crate) handle: u64,
    pub(crate) name: Arc<str>,
    pub(crate) calls: ObjectCalls,
}

/// The tracked objects of a runtime.
pub(crate) struct Objects {
    chunks: Vec<Chunk>,
    /// The generation slots begin with.
    seed: u32,
    free: u32,
    waiting: List,
    finalized: List,
    /// How many are waiting, and how many are in their finalize callback.
    waiting_len: u64,
    finalizing_len: u64,
    names: Names,
    dependencies: Dependencies,
    /// The way from the youngest object down to the one whose turn it was, so that a long chain of
    /// dependencies is walked once.
    path: Vec<u32>,
    /// Nothing is tracked any more.
    pub(crate) closed: bool,
    /// Objects their finalize brought back to life.
    pub(crate) resurrected: Tally<Arc<str>>,
    /// Calls that dealloc callbacks made, by object.
    pub(crate) violations: Tally<(Arc<str>, &'static str)>,
    /// Objects that must not be deallocated, and why.
    pub(crate) kept: Tally<(Arc<str>, &'static str)>,
}

impl Objects {
    pub(crate) const fn new() -> Objects {
        Objects {
            chunks: Vec::new(),
            seed: 0,
            free: NONE,
            waiting: EMPTY,
            finalized: EMPTY,
            waiting_len: 0,
            finalizing_len: 0,
            names: Names::new(),
            dependencies: Dependencies::new(),
            path: Vec::new(),
            closed: false,
            resurrected: Tally::new(),
            violations: Tally::new(),
            kept: Tally::new(),
        }
    }

    fn slot(&self, at: u32) -> &Slot {
        &self.chunks[at as usize / CHUNK].slots[at as usize % CHUNK]
    }

    fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.chunks[at as usize / CHUNK].slots[at as usize % CHUNK]
    }

    fn calls(&self, at: u32) -> ObjectCalls {
        self.chunks[at as usize / CHUNK].calls[at as usize % CHUNK]
    }

    fn name(&self, at: u32) -> &Arc<str> {
        self.names.text(self.slot(at).name)
    }

    fn handle(&self, at: u32) -> u64 {
        // Plus one: no handle is 0.
        u64::from(self.slot(at).generation) << 32 | u64::from(at + 1)
    }

    /// How many objects wait to be finalized.
    pub(crate) fn waiting_len(&self) -> u64 {
        self.waiting_len
    }

    /// Tracks an object; it is finalized before those tracked earlier.
    pub(crate) fn track(&mut self, name: &str, calls: ObjectCalls) -> Result<u64> {
        if self.free == NONE {
            self.grow()?;
        }
        let name = self.names.take(name)?;
        let at = self.free;
        self.chunks[at as usize / CHUNK].calls[at as usize % CHUNK] = calls;
        let slot = self.slot_mut(at);
        let next_free = slot.next;
        *slot = Slot { name, stage: Stage::Waiting, kept: false, depends: false, ..*slot };
        self.free = next_free;
        self.wait(at);
        Ok(self.handle(at))
    }

    #[cold]
    fn grow(&mut self) -> Result<()> {
        static LIVES: AtomicU32 = AtomicU32::new(1);
        let no_memory = |_| Status::NoMemory.error();
        let first = self.chunks.len() * CHUNK;
        if first + CHUNK >= NONE as usize {
            return Err(Status::NoMemory.error());
        }
        if first == 0 {
            // Relaxed: only the number must be one of its own. The factor spreads the numbers, so
            // that a few uses of a slot do not reach another life's generations; and off zero, so
            // that no small number is a handle by accident.
            self.seed = LIVES.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9);
        }
        let mut chunk = Chunk { calls: Vec::new(), slots: Vec::new() };
        self.chunks.try_reserve(1).map_err(no_memory)?;
        chunk.calls.try_reserve_exact(CHUNK).map_err(no_memory)?;
        chunk.slots.try_reserve_exact(CHUNK).map_err(no_memory)?;
        chunk.calls.resize(CHUNK, ObjectCalls::NONE);
        let last = first + CHUNK - 1;
        chunk.slots.extend((first..=last).map(|at| Slot {
            name: 0,
            generation: self.seed,
            previous: NONE,
            next: if at == last { NONE } else { at as u32 + 1 },
            stage: Stage::Free,
            kept: false,
            depends: false,
        }));
        self.chunks.push(chunk);
        self.free = first as u32;
        Ok(())
    }

    /// The slot of a handle.
    fn find(&self, handle: u64) -> Result<u32> {
        let (generation, number) = ((handle >> 32) as u32, handle as u32);
        let stale = || Status::Handle.because("no object of this runtime");
        let at = number.checked_sub(1).ok_or_else(stale)?;
        let chunk = self.chunks.get(at as usize / CHUNK).ok_or_else(stale)?;
        let slot = &chunk.slots[at as usize % CHUNK];
        let live = slot.stage != Stage::Free && slot.generation == generation;
        if live { Ok(at) } else { Err(stale()) }
    }

    /// How far the object of a handle has come.
    pub(crate) fn stage(&self, handle: u64) -> Result<Stage> {
        self.find(handle).map(|at| self.slot(at).stage)
    }

    /// The object of a handle.
    pub(crate) fn get(&self, handle: u64) -> Result<Taken> {
        let at = self.find(handle)?;
        Ok(Taken { handle, name: self.name(at).clone(), calls: self.calls(at) })
    }

    /// The object `dependent` goes before the object `on`.
    pub(crate) fn depend(&mut self, dependent: u64, on: u64) -> Result<()> {
        let (dependent, on) = (self.find(dependent)?, self.find(on)?);
        for at in [dependent, on] {
            if self.slot(at).stage != Stage::Waiting {
                let what = format!("'{}' is finalized already, or just now", self.name(at));
                return Err(Status::State.because(what));
            }
        }
        if let Some(cycle) = self.dependencies.cycle(dependent, on) {
            return Err(Status::Cycle.because(self.describe_cycle(&cycle)));
        }
        crate::sys::memory::spare(0)?;
        self.dependencies.add(dependent, on);
        self.slot_mut(dependent).depends = true;
        self.slot_mut(on).depends = true;
        Ok(())
    }

    fn describe_cycle(&self, cycle: &[u32]) -> String {
        let name = |at: &u32| format!("'{}'", self.name(*at));
        let left_out = cycle.len().saturating_sub(CYCLE_SHOWN);
        let mut names: Vec<_> = cycle.iter().map(name).collect();
        if left_out > 0 {
            let end = names.len() - 1;
            names.splice(end - left_out..end, [format!("({left_out} more)")]);
        }
        names.join(" -> ")
    }

    /// One that depends on the object and waits still, by name.
    pub(crate) fn dependent_name(&self, handle: u64) -> Result<Option<Arc<str>>> {
        let at = self.find(handle)?;
        if !self.slot(at).depends {
            return Ok(None);
        }
        Ok(self.dependencies.dependent(at).map(|dependent| self.name(dependent).clone()))
    }

    /// The next object to finalize: the youngest, but what depends on it first.
    pub(crate) fn next_waiting(&mut self) -> Option<Taken> {
        let mut at = loop {
            match self.path.pop() {
                Some(at) if self.slot(at).stage == Stage::Waiting => break at,
                Some(_) => {}
                None if self.waiting.first == NONE => return None,
                None => break self.waiting.first,
            }
        };
        while self.slot(at).depends
            && let Some(dependent) = self.dependencies.dependent(at)
        {
            if self.slot(dependent).stage != Stage::Waiting {
                // Another thread is in its finalize, and is not waited for.
                self.dependencies.remove(dependent, at);
                self.slot_mut(at).kept = true;
                continue;
            }
            self.come_back_to(at);
            at = dependent;
        }
        Some(Taken { handle: self.handle(at), name: self.name(at).clone(), calls: self.calls(at) })
    }

    fn come_back_to(&mut self, at: u32) {
        if self.path.try_reserve(1).is_ok() {
            self.path.push(at);
        } else {
            // It is a short cut only: without room for it, the next search starts anew.
            self.path.clear();
        }
    }

    /// The object's finalize is about to be called.
    pub(crate) fn begin(&mut self, handle: u64) -> Result<()> {
        let at = self.find(handle)?;
        self.unlink(at);
        self.slot_mut(at).stage = Stage::Finalizing;
        self.finalizing_len += 1;
        Ok(())
    }

    /// The object's finalize was called, and it is to be deallocated: true. Unless one that depends
    /// on it lives on: then it is kept, and so is what it depends on itself.
    pub(crate) fn finished(&mut self, handle: u64) -> Result<bool> {
        let at = self.find(handle)?;
        if self.slot(at).kept {
            self.keep_needs(at);
            self.keep(at, "an object that depends on it lives on");
            return Ok(false);
        }
        self.forget_dependencies(at);
        self.finalizing_len -= 1;
        self.slot_mut(at).stage = Stage::Finalized;
        self.append(at);
        Ok(true)
    }

    /// The object's finalize brought it back to life: it is its host's from now on.
    pub(crate) fn resurrected(&mut self, handle: u64) -> Result<()> {
        let at = self.find(handle)?;
        let name = self.name(at).clone();
        self.resurrected.add(name, 1);
        self.keep_needs(at);
        self.release(at);
        Ok(())
    }

    /// The object stays tracked: it waits again, as the youngest.
    pub(crate) fn wait_again(&mut self, handle: u64) -> Result<()> {
        let at = self.find(handle)?;
        self.finalizing_len -= 1;
        self.slot_mut(at).stage = Stage::Waiting;
        self.wait(at);
        Ok(())
    }

    fn keep_needs(&mut self, at: u32) {
        if self.slot(at).depends {
            let needs: Vec<_> = self.dependencies.needs(at).collect();
            for on in needs {
                self.slot_mut(on).kept = true;
            }
        }
    }

    /// Takes the next object to deallocate.
    pub(crate) fn take_finalized(&mut self) -> Option<Taken> {
        let at = self.finalized.first;
        (at != NONE).then(|| self.take_at(at))
    }

    /// Takes the object of a handle, at whatever stage it is.
    pub(crate) fn take(&mut self, handle: u64) -> Result<Taken> {
        let at = self.find(handle)?;
        Ok(self.take_at(at))
    }

    fn take_at(&mut self, at: u32) -> Taken {
        let taken =
            Taken { handle: self.handle(at), name: self.name(at).clone(), calls: self.calls(at) };
        self.release(at);
        taken
    }

    /// Keeps what was to be deallocated, for `reason`, and forgets it.
    pub(crate) fn keep_finalized(&mut self, reason: &'static str) {
        while self.finalized.first != NONE {
            self.keep(self.finalized.first, reason);
        }
    }

    /// Keeps what was not finalized, and forgets it.
    pub(crate) fn keep_unfinished(&mut self) {
        while self.waiting.first != NONE {
            self.keep(self.waiting.first, "it was not finalized");
        }
        if self.finalizing_len > 0 {
            for at in 0..(self.chunks.len() * CHUNK) as u32 {
                if self.slot(at).stage == Stage::Finalizing {
                    self.keep(at, "another thread is still in its finalize");
                }
            }
        }
    }

    fn keep(&mut self, at: u32, reason: &'static str) {
        let name = self.name(at).clone();
        self.kept.add((name, reason), 1);
        self.release(at);
    }

    /// Frees a slot.
    fn release(&mut self, at: u32) {
        if self.slot(at).stage == Stage::Waiting && self.slot(at).depends {
            // The path may have led over it.
            self.path.clear();
        }
        self.forget_dependencies(at);
        if self.slot(at).stage == Stage::Finalizing {
            self.finalizing_len -= 1;
        } else {
            self.unlink(at);
        }
        self.names.give_back(self.slot(at).name);
        let free = self.free;
        let slot = self.slot_mut(at);
        slot.stage = Stage::Free;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = free;
        self.free = at;
    }

    fn forget_dependencies(&mut self, at: u32) {
        if std::mem::take(&mut self.slot_mut(at).depends) {
            self.dependencies.forget(at);
        }
    }

    fn wait(&mut self, at: u32) {
        let second = self.waiting.first;
        let slot = self.slot_mut(at);
        (slot.previous, slot.next) = (NONE, second);
        match second {
            NONE => self.waiting.last = at,
            second => self.slot_mut(second).previous = at,
        }
        self.waiting.first = at;
        self.waiting_len += 1;
        if !self.path.is_empty() {
            // The youngest goes first, also on a path.
            self.come_back_to(at);
        }
    }

    fn append(&mut self, at: u32) {
        let before = self.finalized.last;
        let slot = self.slot_mut(at);
        (slot.previous, slot.next) = (before, NONE);
        match before {
            NONE => self.finalized.first = at,
            before => self.slot_mut(before).next = at,
        }
        self.finalized.last = at;
    }

    /// Takes a slot off the list of its stage.
    fn unlink(&mut self, at: u32) {
        let &Slot { previous, next, stage, .. } = self.slot(at);
        let waits = stage == Stage::Waiting;
        let mut list = if waits { self.waiting } else { self.finalized };
        match previous {
            NONE => list.first = next,
            previous => self.slot_mut(previous).next = next,
        }
        match next {
            NONE => list.last = previous,
            next => self.slot_mut(next).previous = previous,
        }
        if waits {
            self.waiting = list;
            self.waiting_len -= 1;
        } else {
            self.finalized = list;
        }
    }
}
