//! Which runtimes there are, each in its present life; and what locks ask of them.
//!
//! Initialising again after finalization begins a new life in the same place of the registry. What
//! still refers to the old life (threads, writers, handles) stays with it, and finds it finalized:
//! nothing of a former life can enter the new one.

use crate::lock::buffered::Rules;
use crate::lock::grace::GraceSpan;
use crate::report::tracepoints;
use crate::runtime::attachment::Attachment;
use crate::runtime::events::{Former, Recovery};
use crate::runtime::lifecycle::{Position, State};
use crate::runtime::waits::{self, Awaiting};
use crate::runtime::{Runtime, RuntimeOptions};
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicI32, AtomicU32, Deadline, Mutex, Ordering};
use crate::thread::record::{Owner, OwnerId, OwnerRef};
use crate::thread::this_thread::OWNERS;
use std::cell::Cell;
use std::collections::BTreeMap;

/// What the registry knows of a runtime: its present life.
struct Registry {
    next_id: u32,
    lives: BTreeMap<u32, Arc<Runtime>>,
}

const DEFAULT_ID: u32 = 0;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { next_id: 1, lives: BTreeMap::new() });

/// 1 while the default runtime finalizes and after, 0 otherwise: what `rt_is_finalizing` reads; the header's inline form reads it without a call. Written by the
/// library only.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "C knows it by this name")]
pub static rt_finalizing_flag: AtomicI32 = AtomicI32::new(0);

/// The default runtime's state, as `rt_runtime_state` gives it; the header's inline form reads it.
/// Written by the library only.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "C knows it by this name")]
pub static rt_state_flag: AtomicI32 = AtomicI32::new(0);

/// Bumped whenever a runtime's state moves: waits for locks ask their rules again.
static EPOCH: AtomicU32 = AtomicU32::new(0);

impl Runtime {
    /// The process's default runtime. It runs from the first time anyone asks for it.
    pub fn main() -> Arc<Runtime> {
        let mut registry = REGISTRY.lock();
        let life = registry.lives.entry(DEFAULT_ID);
        let born_with = || RuntimeOptions { name: "main".into(), no_daemons: false };
        life.or_insert_with(|| Runtime::start(DEFAULT_ID, born_with(), None)).clone()
    }

    /// As [`main`](Runtime::main), for a call that makes sure of the memory for its life.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn try_main() -> Result<Arc<Runtime>> {
        let known = REGISTRY.lock().lives.get(&DEFAULT_ID).cloned();
        match known {
            Some(life) => Ok(life),
            None => crate::sys::memory::spare(0).map(|()| Runtime::main()),
        }
    }

    /// Another runtime.
    pub fn new(name: &str) -> Arc<Runtime> {
        enroll(RuntimeOptions { name: name.into(), no_daemons: false }, None)
    }

    /// Begins a new life in place of this finalized one, and returns it.
    ///
    /// # Errors
    /// `State` while the present life is not finalized; for a child, also when its parent is gone or
    /// admits nothing any more.
    pub fn initialise_again(&self) -> Result<Arc<Runtime>> {
        crate::sys::memory::spare(0)?;
        let mut registry = REGISTRY.lock();
        let former = match registry.lives.get(&self.id()) {
            Some(life) if life.state() == State::Finalized => life.clone(),
            _ => return Err(Status::State.because("only a finalized runtime starts again")),
        };
        let parent = match self.ancestors().first() {
            None => None,
            Some(parent) => Some(registry.lives.get(parent).cloned().ok_or_else(|| {
                Status::State.because("the runtime's parent was freed; make a new child of another")
            })?),
        };
        let life = Runtime::start(self.id(), former.born_with().clone(), parent.as_ref());
        // Ids go on, so that one of the former life names nothing in the new one.
        life.registrations.lock().next_id = former.registrations.lock().next_id;
        if let Some(parent) = parent
            && let Err(error) = parent.admit_child(&life)
        {
            let why = "the runtime's parent is finalized; initialize that first";
            let late = error.status() == Status::Finalizing;
            return Err(if late { Status::State.because(why) } else { error });
        }
        registry.lives.insert(self.id(), life.clone());
        flag_state(&life, State::Running);
        drop(registry);
        // With nothing locked: it may be the last reference, and closures' drops are host code.
        drop(former);
        rules_changed();
        Ok(life)
    }

    /// Takes a finalized runtime other than the default one out of the registry.
    ///
    /// # Errors
    /// `State` while it is not finalized, `Handle` if it is gone already, `Invalid` for the default
    /// runtime.
    pub fn discard(&self) -> Result<()> {
        if self.id() == DEFAULT_ID {
            return Err(Status::Invalid.because("the default runtime cannot be freed"));
        }
        // In one section: a free that races with an initialise or another free is refused.
        let life = {
            let mut registry = REGISTRY.lock();
            match registry.lives.get(&self.id()) {
                None => return Err(Status::Handle.error()),
                Some(life) if life.state() == State::Finalized => {}
                Some(_) => {
                    return Err(Status::State.because("finalize the runtime before you free it"));
                }
            }
            registry.lives.remove(&self.id())
        };
        drop(life);
        Ok(())
    }
}

/// Enters a new runtime under a number of its own.
pub(crate) fn enroll(born_with: RuntimeOptions, parent: Option<&Arc<Runtime>>) -> Arc<Runtime> {
    let mut registry = REGISTRY.lock();
    let id = registry.next_id;
    registry.next_id += 1;
    let runtime = Runtime::start(id, born_with, parent);
    registry.lives.insert(id, runtime.clone());
    runtime
}

/// Takes out a runtime that nobody has heard of yet.
pub(crate) fn strike(runtime: &Runtime) {
    let life = REGISTRY.lock().lives.remove(&runtime.id());
    drop(life);
}

/// Sets the flags that are read without a call, if `runtime` is the default one.
pub(crate) fn flag_state(runtime: &Runtime, state: State) {
    if runtime.id() == DEFAULT_ID {
        // Release: who reads a flag and then asks the runtime finds it at least as far.
        rt_state_flag.store(state as i32, Ordering::Release);
        rt_finalizing_flag.store((state > State::Running).into(), Ordering::Release);
    }
}

/// The present lives of all runtimes. The list is made with nothing locked: a signal handler that interrupted
/// the heap may wait for the registry.
fn lives() -> Vec<Arc<Runtime>> {
    let mut all = Vec::new();
    loop {
        let registry = REGISTRY.lock();
        if registry.lives.len() <= all.capacity() {
            all.extend(registry.lives.values().cloned());
            return all;
        }
        let room = registry.lives.len();
        drop(registry);
        all.reserve(room + 4);
    }
}

/// Whether some thread is attached by this identity.
pub(crate) fn knows_thread(id: u64) -> bool {
    let lives = lives();
    let is_it = |a: &Arc<Attachment>| a.id() == id && a.position() != Position::Gone;
    lives.iter().any(|life| life.registrations.lock().threads.iter().any(is_it))
}

/// Makes every wait for a lock ask its rules again.
pub(crate) fn rules_changed() {
    // SeqCst: see `Process::epoch`.
    EPOCH.fetch_add(1, Ordering::SeqCst);
    OWNERS.wake_waiters();
}

/// Once the process ends: the threads that were killed, all but `me`, are outside for good, and what they
/// were finalizing is over.
#[cfg(windows)]
pub(crate) fn lose_threads(me: OwnerId) {
    let lives = lives();
    for life in &lives {
        crate::runtime::fork_child::lose_threads(life);
    }
    for life in lives {
        let killed = life.gate().finalizer().filter(|&finalizer| finalizer != me);
        if let Some(killed) = killed {
            crate::runtime::fork_child::finalizer_ends(vec![life], killed);
        }
    }
}

/// Called by the thread that is about to finalize `runtime`: what the killed ones held is nobody's, and those
/// that were terminated before are not in it.
#[cfg(windows)]
pub(crate) fn lose_the_killed(me: &Owner, runtime: &Runtime) {
    if !crate::sys::process_end::under_way() {
        crate::runtime::fork_child::lose_threads(runtime);
    } else {
        OWNERS.forked(Some(me), me.tid());
        crate::runtime::guards::table::forked(Some(me.id()));
        lose_threads(me.id());
    }
}

/// The calling thread ends: whatever it is finalizing.
#[cfg(windows)]
pub(crate) fn finalizer_ends(me: OwnerId) {
    let lives = lives();
    crate::runtime::fork_child::finalizer_ends(lives, me);
}

/// In the child of a `fork`, whose one thread is `survivor` if the library knows it.
pub(crate) fn forked(survivor: Option<OwnerId>) {
    let lives = lives();
    crate::runtime::fork_child::forked(lives, survivor);
}

/// The process, as the locks see it.
pub struct Process;

impl Rules for Process {
    fn find(&self, id: OwnerId) -> Option<OwnerRef> {
        OWNERS.find(id)
    }

    fn grace(&self, runtime: u32, me: OwnerId) -> Option<GraceSpan> {
        let life = REGISTRY.lock().lives.get(&runtime).cloned();
        let rule = match life {
            // The default runtime was never asked for, or the lock outlived its runtime.
            None => (runtime != DEFAULT_ID).then(|| GraceSpan::until(Deadline::after_us(0))),
            Some(life) => match life.state() {
                State::Running | State::PreFinalizing => None,
                _ if life.gate().is_finalizer(me) => Some(life.grace().shared(1.0)),
                _ => Some(life.grace().own()),
            },
        };
        // A callback of a finalization waits for no lock longer than that has time.
        match (rule, waits::bound()) {
            (rule, Deadline::NEVER) => rule,
            (None, bound) => Some(GraceSpan::until(bound)),
            (Some(mut span), bound) => {
                span.deadline = span.deadline.min(bound);
                Some(span)
            }
        }
    }

    type Wait<'a> = Awaiting<'a>;

    fn wait<'a>(&'a self, key: usize, owner: &Owner) -> Option<Awaiting<'a>> {
        let what = || format!("a buffered lock, held by {}", owner.describe());
        Awaiting::begin(key, Some(owner), what)
    }

    fn taken_over(&self, runtime: u32, key: usize, owner: Option<&Owner>) {
        tracepoints::recovery(runtime, key, owner.map_or(0, Owner::tid));
        let life = REGISTRY.lock().lives.get(&runtime).cloned();
        if let Some(life) = life {
            life.note_recovery(|| Recovery::of_lock(Former::of(owner)));
        }
    }

    fn epoch(&self) -> u32 {
        // SeqCst: read before the rules are asked, changed before the waiters are woken.
        EPOCH.load(Ordering::SeqCst)
    }
}

/// The process, as a lock sees it whose owner tells of takeovers himself: it remembers from whom.
pub(crate) struct Remembering<'a> {
    /// Whose lock it is.
    writer: &'a str,
    former: Cell<Former>,
}

impl Remembering<'_> {
    /// For the lock of this writer.
    pub(crate) fn of(writer: &str) -> Remembering<'_> {
        Remembering { writer, former: Cell::default() }
    }

    /// Whom the lock was taken over from.
    pub(crate) fn former(self) -> Former {
        self.former.into_inner()
    }
}

impl Rules for Remembering<'_> {
    fn find(&self, id: OwnerId) -> Option<OwnerRef> {
        Process.find(id)
    }

    fn grace(&self, runtime: u32, me: OwnerId) -> Option<GraceSpan> {
        Process.grace(runtime, me)
    }

    type Wait<'a>
        = Awaiting<'a>
    where
        Self: 'a;

    fn wait<'a>(&'a self, key: usize, owner: &Owner) -> Option<Awaiting<'a>> {
        let what = || format!("the lock of writer '{}', held by {}", self.writer, owner.describe());
        Awaiting::begin(key, Some(owner), what)
    }

    fn taken_over(&self, runtime: u32, key: usize, owner: Option<&Owner>) {
        tracepoints::recovery(runtime, key, owner.map_or(0, Owner::tid));
        self.former.set(Former::of(owner));
    }

    fn epoch(&self) -> u32 {
        Process.epoch()
    }
}
