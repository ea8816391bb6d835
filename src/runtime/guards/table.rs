//! Every thread's guards: a rack of slots for each thread that opens one.
//!
//! Racks are never freed. One whose thread has ended is taken by another thread once all its guards
//! are closed; until then it stands, and the report names the thread that went.

use crate::runtime::events::{Late, Subject};
use crate::runtime::guards::exchange::{GENERATIONS, Hold, NAME_SIZE, Note, Slot};
use crate::runtime::guards::view::{self, Pin};
use crate::status::{Result, Status};
use crate::sync::activity::interrupted;
use crate::sync::fence;
use crate::sync::fork::{self, Deferred};
use crate::sync::slab::Slab;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, coarse_ms};
use crate::sys::cell::{self, cell};
use crate::thread::record::{Liveness, Owner, OwnerId, OwnerRef};
use crate::thread::this_thread;
use std::cell::Cell;

const SLOT_BITS: u32 = 4;
const SLOTS: usize = 1 << SLOT_BITS;
/// The last slots are for signal handlers over the opening of a guard: one for each level of them.
const HANDLER_LEVELS: usize = 2;
const USUAL: usize = SLOTS - HANDLER_LEVELS;

/// Set in [`Rack::holder`] when the thread has ended.
const ENDED: u64 = 1 << 63;

#[repr(align(64))]
struct Rack {
    /// The id of the thread whose slots these are; 0 for none.
    holder: AtomicU64,
    index: AtomicU32,
    /// The slot that was closed last. Only the holder uses it.
    hint: AtomicU32,
    /// The record of that thread, of which the rack has a reference; null for none.
    who: AtomicPtr<Owner>,
    slots: [Slot; SLOTS],
}

impl Default for Rack {
    fn default() -> Rack {
        Rack {
            holder: AtomicU64::new(0),
            index: AtomicU32::new(0),
            hint: AtomicU32::new(0),
            who: AtomicPtr::new(std::ptr::null_mut()),
            slots: std::array::from_fn(|_| Slot::new()),
        }
    }
}

static RACKS: Slab<Rack> = Slab::new();

/// What a thread knows of its own racks.
#[derive(Default)]
pub struct Mine {
    index: Cell<u32>,
    /// The record of the thread that has these.
    owner: Cell<Option<&'static Owner>>,
    /// The one that had room last.
    current: Cell<Option<&'static Rack>>,
    /// How many openings are under way: more than one when a signal handler opens over one.
    level: Cell<usize>,
}

/// A guard's handle: `generation | rack | slot | 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard(usize);

const RACK_BITS: u32 = if usize::BITS == 64 { 22 } else { 11 };
const GENERATION_SHIFT: u32 = 1 + SLOT_BITS + RACK_BITS;
const GENERATION_MASK: u64 = (1 << (usize::BITS - GENERATION_SHIFT)) - 1;
const _: () = assert!(usize::BITS != 64 || GENERATIONS == GENERATION_MASK + 1);

impl Rack {
    fn holder(&self) -> u64 {
        // SeqCst: ordered with the closes on other threads, see `end`.
        self.holder.load(Ordering::SeqCst)
    }

    fn take(owner: &'static Owner) -> Result<&'static Rack> {
        let (index, rack) = RACKS.take()?;
        if index >> RACK_BITS != 0 {
            RACKS.give_back(index);
            return Err(Status::NoMemory.because("no room for another thread's guards"));
        }
        rack.index.store(index, Ordering::Relaxed);
        let who = OwnerRef::keep(OwnerRef::of(owner));
        // Release: who finds the record finds it begun.
        rack.who.store(std::ptr::from_ref(who).cast_mut(), Ordering::Release);
        rack.holder.store(owner.id().get(), Ordering::SeqCst);
        Ok(rack)
    }

    /// The thread whose slots these are, also if it has ended.
    fn who(&self) -> Option<OwnerRef> {
        let id = OwnerId::new(self.holder() & !ENDED)?;
        // Acquire: pairs with `take`.
        let who = self.who.load(Ordering::Acquire);
        // SAFETY: `take` stored it, and records are never freed.
        OwnerRef::look(unsafe { who.as_ref() }?, id)
    }

    /// A free slot for the calling thread, which holds the rack.
    #[inline]
    fn free_slot(&self) -> Option<usize> {
        let hint = self.hint.load(Ordering::Relaxed) as usize;
        if self.slots[hint].is_free() {
            return Some(hint);
        }
        self.slots[..USUAL].iter().position(Slot::is_free)
    }

    /// The thread has ended. Whoever then closes the last guard frees the rack: either the closer sees
    /// the mark, or this sees the slot closed.
    fn end(&self) {
        self.holder.fetch_or(ENDED, Ordering::SeqCst);
        self.free_if_over();
    }

    fn free_if_over(&self) {
        let holder = self.holder();
        if holder & ENDED == 0 || self.slots.iter().any(Slot::is_taken) {
            return;
        }
        // One of those who find it over frees it.
        if self.holder.compare_exchange(holder, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            // Acquire: pairs with `take`.
            let gone = self.who.swap(std::ptr::null_mut(), Ordering::Acquire);
            // SAFETY: `take` stored it, and records are never freed.
            drop(unsafe { gone.as_ref() }.map(OwnerRef::of_kept));
            // One whose slots have used up their generations is not used again.
            if self.slots[..USUAL].iter().any(Slot::is_free) {
                RACKS.give_back(self.index.load(Ordering::Relaxed));
            }
        }
    }
}

impl Mine {
    /// Opens a guard in a slot of the calling thread. Returns where.
    #[inline]
    fn open(&self, note: &Note) -> Result<(&'static Rack, usize, u64)> {
        let level = self.level.replace(self.level.get() + 1);
        // A signal handler that opens a guard from here on takes another slot.
        fence::signal();
        let opened = self.find_slot(level).map(|(rack, slot)| {
            let generation = rack.slots[slot].open(note);
            (rack, slot, generation)
        });
        self.level.set(level);
        opened
    }

    #[inline]
    fn find_slot(&self, level: usize) -> Result<(&'static Rack, usize)> {
        match self.current.get() {
            Some(rack) if level == 0 => match rack.free_slot() {
                Some(slot) => Ok((rack, slot)),
                None => self.find_rack(),
            },
            None if level == 0 => self.find_rack(),
            Some(rack) if level <= HANDLER_LEVELS && rack.slots[USUAL + level - 1].is_free() => {
                Ok((rack, USUAL + level - 1))
            }
            _ => Err(Status::WouldBlock
                .because("a signal handler interrupted the opening of a guard on this thread")),
        }
    }

    #[cold]
    fn find_rack(&self) -> Result<(&'static Rack, usize)> {
        refuse_over_a_section()?;
        let owner = self.owner.get().ok_or_else(|| Status::ThreadExiting.error())?;
        let me = owner.id().get();
        let mut mine = RACKS.iter().filter(|rack| rack.holder() == me);
        let with_room = mine.find_map(|rack| rack.free_slot().map(|slot| (rack, slot)));
        let (rack, slot) = match with_room {
            Some(found) => found,
            None => {
                let rack = Rack::take(owner)?;
                let full = || Status::NoMemory.because("a rack without room for guards");
                (rack, rack.free_slot().ok_or_else(full)?)
            }
        };
        self.current.set(Some(rack));
        Ok((rack, slot))
    }

    /// Those of the calling thread.
    #[inline]
    fn of_this_thread() -> Result<&'static Mine> {
        // SAFETY: null, or set by `begin` to a place of a slab, and unset before that is given back.
        match unsafe { cell().guards.get().cast::<Mine>().as_ref() } {
            Some(mine) => Ok(mine),
            None => Mine::begin(),
        }
    }

    #[cold]
    fn begin() -> Result<&'static Mine> {
        let owner = this_thread::record()?;
        if cell::is_over_the_library() {
            // The code below the handler may be just here.
            return Err(interrupted());
        }
        let (index, mine) = MINE.take()?;
        mine.index.set(index);
        mine.owner.set(Some(owner));
        cell().guards.set(std::ptr::from_ref(mine).cast());
        Ok(mine)
    }

    /// Another thread begins with nothing.
    fn give_back(&self) {
        self.owner.set(None);
        self.current.set(None);
        self.level.set(0);
        MINE.give_back(self.index.get());
    }
}

// SAFETY: it is used by the thread that has taken it, and by no other until that has given it back.
unsafe impl Sync for Mine {}

static MINE: Slab<Mine> = Slab::new();

/// The calling thread ends: what is still open stays so.
pub(crate) fn thread_ends(owner: &Owner) {
    // SAFETY: as in `of_this_thread`.
    let Some(mine) = (unsafe { cell().guards.get().cast::<Mine>().as_ref() }) else { return };
    if mine.current.take().is_some() {
        let me = owner.id().get();
        RACKS.iter().filter(|rack| rack.holder() == me).for_each(Rack::end);
    }
    cell().guards.set(std::ptr::null());
    mine.give_back();
}

/// In the child of a `fork`: what threads had that were not copied serves others.
pub(crate) fn threads_are_lost() {
    let own = cell().guards.get().cast::<Mine>();
    let lost = |mine: &&'static Mine| mine.owner.get().is_some() && !std::ptr::eq(*mine, own);
    MINE.iter().filter(lost).for_each(Mine::give_back);
}

impl Guard {
    /// Checks that the life exists and pins it, in one step. Once its finalization has begun, this
    /// succeeds only on a thread that it waits for anyway: other threads that keep opening guards could
    /// delay it indefinitely.
    ///
    /// # Errors
    /// `Finalizing`; `NoMemory`, `ThreadExiting`; `WouldBlock` in a signal handler.
    #[inline]
    pub fn acquire(pin: Pin, name: [u8; NAME_SIZE], shared: bool) -> Result<Guard> {
        let (life, anchor) = (pin.life(), pin.index());
        let note = Note { life, anchor, shared, since_ms: coarse_ms(), name };
        loop {
            let (rack, slot, generation) = Mine::of_this_thread()?.open(&note)?;
            match pin.anchor().hold(note.life) {
                hold if hold == Hold::Open
                    || hold == Hold::Watched && is_waited_for(pin, &rack.slots[slot]) =>
                {
                    let place =
                        u64::from(rack.index.load(Ordering::Relaxed)) << SLOT_BITS | slot as u64;
                    let generation = (generation & GENERATION_MASK) << GENERATION_SHIFT;
                    return Ok(Guard((generation | place << 1 | 1) as usize));
                }
                refused => {
                    rack.slots[slot].close_own(generation);
                    wait_or_give_up(pin, refused)?;
                }
            }
        }
    }

    /// The guard of this handle, which may be none.
    #[inline]
    pub fn from_handle(handle: usize) -> Guard {
        Guard(handle)
    }

    /// Its handle; never zero.
    pub fn handle(self) -> usize {
        self.0
    }

    /// Closes it, from any thread.
    ///
    /// # Errors
    /// `Handle`.
    #[inline]
    pub fn release(self) -> Result<()> {
        let stale = || Status::Handle.error();
        let bits = self.0 as u64;
        let rack = (bits >> (1 + SLOT_BITS)) & ((1 << RACK_BITS) - 1);
        let rack = RACKS.get(rack as u32).filter(|_| bits & 1 == 1).ok_or_else(stale)?;
        let at = (bits >> 1) as usize % SLOTS;
        let slot = &rack.slots[at];
        let generation =
            slot.open_generation(bits >> GENERATION_SHIFT, GENERATION_MASK).ok_or_else(stale)?;
        let (life, anchor) = slot.pinned(generation).ok_or_else(stale)?;
        // Relaxed: the holder is this thread only if this thread stored it.
        let holder = rack.holder.load(Ordering::Relaxed);
        if this_thread::known_id().is_some_and(|me| me.get() == holder) {
            if !slot.close_own(generation) {
                return Err(stale());
            }
            if at < USUAL {
                rack.hint.store(at as u32, Ordering::Relaxed);
            }
        } else {
            if !slot.close_foreign(generation) {
                return Err(stale());
            }
            rack.free_if_over();
        }
        let pin = Pin::of(life, anchor);
        let watched =
            pin.filter(|pin| matches!(pin.anchor().hold(life), Hold::Watched | Hold::Deciding));
        if let Some(pin) = watched {
            if cell::is_over_a_section() {
                fork::defer(Deferred::WakeFinalizers, view::announce_all);
            } else if let Some(runtime) = pin.runtime() {
                runtime.announce();
            }
        }
        Ok(())
    }
}

/// A signal handler over a section of this thread must not wait for it.
fn refuse_over_a_section() -> Result<()> {
    if cell::is_over_a_section() { Err(interrupted()) } else { Ok(()) }
}

/// Whether a finalization that has begun waits for the calling thread anyway, so that one more guard, noted in
/// `new`, holds nothing up that was over: the thread has another guard of that life, or may have been handed
/// a shared one; or it is attached and waited for; or it is the one that finalizes.
#[cold]
fn is_waited_for(pin: Pin, new: &Slot) -> bool {
    let me = this_thread::known_id();
    let pins = |rack: &Rack, slot: &Slot| {
        let (_, note) = slot.look()?;
        let mine = me.is_some_and(|me| rack.holder() & !ENDED == me.get());
        Some(note.life == pin.life() && (mine || note.shared) && !std::ptr::eq(slot, new))
    };
    let of_rack = |rack: &Rack| rack.slots.iter().any(|slot| pins(rack, slot).unwrap_or_default());
    if RACKS.iter().filter(|rack| rack.holder() != 0).any(of_rack) {
        return true;
    }
    let Some(me) = me.filter(|_| !cell::is_over_the_library()) else { return false };
    pin.runtime()
        .is_some_and(|runtime| runtime.is_finalized_by(me) || runtime.waits_for_this_thread())
}

#[cold]
fn wait_or_give_up(pin: Pin, refused: Hold) -> Result<()> {
    refuse_over_a_section()?;
    let runtime = pin.runtime();
    // The finalizer may have seen the slot open.
    if let Some(runtime) = &runtime {
        runtime.announce();
    }
    if refused == Hold::Deciding
        && let Some(runtime) = runtime
    {
        let me = this_thread::id()?;
        if runtime.is_finalized_by(me) {
            return Err(Status::WouldBlock
                .because("a signal handler interrupted the step to the freeze on this thread"));
        }
        drop(runtime);
        pin.anchor().await_decision(pin.life());
        return Ok(());
    }
    Err(runtime.map_or_else(|| Status::Finalizing.error(), |runtime| runtime.late()))
}

/// An open guard, as the finalizing thread sees it.
pub struct OpenGuard {
    slot: &'static Slot,
    generation: u64,
    note: Note,
    owner: OwnerRef,
}

impl OpenGuard {
    /// The guards that pin the life of `pin`, without those that only the thread `but` closes.
    pub fn all(pin: Pin, but: Option<OwnerId>) -> Vec<OpenGuard> {
        let mut found = Vec::new();
        for rack in RACKS.iter().filter(|rack| rack.holder() != 0) {
            let of_life = |slot: &'static Slot| {
                let (generation, note) = slot.look()?;
                (note.life == pin.life()).then_some((slot, generation, note))
            };
            let mut open = rack.slots.iter().filter_map(of_life).peekable();
            if open.peek().is_none() {
                continue;
            }
            let Some(owner) = rack.who() else { continue };
            let counts = |note: &Note| note.shared || Some(owner.id()) != but;
            let open = open.filter(|(_, _, note)| counts(note));
            found.extend(open.map(|(slot, generation, note)| OpenGuard {
                slot,
                generation,
                note,
                owner: owner.clone(),
            }));
        }
        found
    }

    /// Whether only this thread closes it.
    pub fn is_only_of(&self, thread: OwnerId) -> bool {
        !self.note.shared && self.owner.id() == thread
    }

    /// Whether it still is.
    pub fn is_open(&self) -> bool {
        self.slot.is_open(self.generation)
    }

    /// Its name; empty if it has none.
    pub fn name(&self) -> String {
        let end = self.note.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        String::from_utf8_lossy(&self.note.name[..end]).into_owned()
    }

    /// For how long it has been open, in milliseconds.
    pub fn age_ms(&self) -> u64 {
        coarse_ms().saturating_sub(self.note.since_ms)
    }

    /// Whom a report names, without the age.
    pub fn describe(&self) -> String {
        let name = self.name();
        let mut holder = self.owner.describe();
        if holder.starts_with('\'') {
            holder.insert_str(0, "thread ");
        }
        let ended = match self.owner.liveness() {
            Liveness::Running => "",
            Liveness::Parked => " (which is parked for good)",
            Liveness::Exited => " (its thread has ended)",
        };
        match name.as_str() {
            "" => format!("a guard of {holder}{ended}"),
            name => format!("guard '{name}' of {holder}{ended}"),
        }
    }

    /// As something that is waited for too long.
    pub(crate) fn late(&self) -> Late {
        let what = self.describe_with_age();
        let late = Late::kept_by(Some(&*self.owner), Subject::Guard, self.name(), what);
        Late { age_us: Some(self.age_ms() * 1000), ..late }
    }

    /// The same with the age.
    pub fn describe_with_age(&self) -> String {
        let ms = self.age_ms();
        match ms {
            0..1000 => format!("{}, open for {ms} ms", self.describe()),
            _ => format!("{}, open for {}.{} s", self.describe(), ms / 1000, ms % 1000 / 100),
        }
    }
}

/// In the child of a `fork`: the guards of threads that were not copied are closed.
pub(crate) fn forked(survivor: Option<OwnerId>) {
    let survivor = survivor.map_or(0, OwnerId::get);
    let gone = |rack: &&'static Rack| !matches!(rack.holder(), 0) && rack.holder() != survivor;
    for rack in RACKS.iter().filter(gone) {
        for slot in &rack.slots {
            if let Some((generation, _)) = slot.look() {
                slot.close_foreign(generation);
            }
        }
        rack.end();
    }
}
