//! A runtime: one life of one, from its start to its finalization, and the registry that finds it.
//!
//! Initialising again after finalization begins a new life in the same place of the registry. What
//! still refers to the old life (threads, writers, handles) stays with it, and finds it finalized:
//! nothing of a former life can pin or enter the new one.
//!
//! # Admission
//!
//! Everything that could give finalization more work (threads, at-exit callbacks, pending calls,
//! handlers) is kept under one mutex, the books, with one flag: closed. The step to `freeze` looks
//! whether all is empty, sets the flag and moves the state in one section. What came before that is
//! seen and the passes go round again; what comes after is refused.

use crate::at_exit::{Entry, Stack};
use crate::buffered_lock::World;
use crate::freeze::{Gate, State};
use crate::grace::{Grace, GraceSpan};
use crate::host_call::{Function, HostCall};
use crate::ledger::Leak;
use crate::options::Options;
use crate::overlapped::Overlapped;
use crate::owner::{Owner, OwnerId};
use crate::phase::{Handler, Handlers, Phase};
use crate::report::{Destination, Failure, Report};
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicI32, AtomicU32, AtomicU64, Deadline, Mutex, Ordering};
use crate::this_thread::OWNERS;
use crate::thread::Attachment;
use crate::writer::Writer;
use libc::c_void;
use std::collections::{BTreeMap, VecDeque};

/// One life of a runtime.
pub struct Runtime {
    id: u32,
    name: Box<str>,
    gate: Arc<Gate>,
    grace: Arc<Grace>,
    late_calls: Arc<AtomicU64>,
    pub(crate) books: Mutex<Books>,
    pub(crate) options: Mutex<Options>,
    outcome: Mutex<Option<Arc<Report>>>,
}

/// What a runtime has to see to before it ends.
pub(crate) struct Books {
    /// Nothing that makes work for the phases before `freeze` is admitted any more.
    pub closed: bool,
    pub next_id: u64,
    pub threads: Vec<Arc<Attachment>>,
    pub at_exit: Stack,
    pub exit_functions: Stack,
    pub pending: VecDeque<Entry>,
    pub handlers: Handlers,
    pub writers: Vec<Arc<Writer>>,
    pub operations: Vec<Arc<Overlapped>>,
    pub leaks: Vec<Leak>,
    pub failures: Vec<(String, String)>,
    /// Writers their hosts gave up with bytes still in them.
    pub abandoned: Vec<Destination>,
}

/// What the registry knows of a runtime: its present life.
struct Registry {
    next_id: u32,
    lives: BTreeMap<u32, Arc<Runtime>>,
}

const DEFAULT_ID: u32 = 0;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { next_id: 1, lives: BTreeMap::new() });

/// 1 while the default runtime finalizes and after, 0 otherwise: what `rt_is_finalizing` reads.
pub(crate) static DEFAULT_IS_FINALIZING: &AtomicI32 = &crate::capi::rt_finalizing_flag;

/// Bumped whenever a runtime's state moves: waits for locks ask their rules again.
static EPOCH: AtomicU32 = AtomicU32::new(0);

impl Runtime {
    fn start(id: u32, name: &str) -> Arc<Runtime> {
        let options = Options::default();
        Arc::new(Runtime {
            id,
            name: name.into(),
            gate: Arc::new(Gate::new()),
            grace: Arc::new(Grace::new(options.grace_us)),
            late_calls: Arc::default(),
            books: Mutex::new(Books {
                closed: false,
                next_id: 1,
                threads: Vec::new(),
                at_exit: Stack::new(),
                exit_functions: Stack::new(),
                pending: VecDeque::new(),
                handlers: Handlers::new(),
                writers: Vec::new(),
                operations: Vec::new(),
                leaks: Vec::new(),
                failures: Vec::new(),
                abandoned: Vec::new(),
            }),
            options: Mutex::new(options),
            outcome: Mutex::new(None),
        })
    }

    /// The process's default runtime. It runs from the first time anyone asks for it.
    pub fn main() -> Arc<Runtime> {
        let mut registry = REGISTRY.lock();
        let life = registry.lives.entry(DEFAULT_ID);
        life.or_insert_with(|| Runtime::start(DEFAULT_ID, "main")).clone()
    }

    /// Another runtime.
    pub fn new(name: &str) -> Arc<Runtime> {
        let mut registry = REGISTRY.lock();
        let id = registry.next_id;
        registry.next_id += 1;
        let runtime = Runtime::start(id, name);
        registry.lives.insert(id, runtime.clone());
        runtime
    }

    /// Begins a new life in place of this finalized one, and returns it.
    ///
    /// # Errors
    /// `State` while the present life is not finalized.
    pub fn initialise_again(&self) -> Result<Arc<Runtime>> {
        let mut registry = REGISTRY.lock();
        let life = match registry.lives.get_mut(&self.id) {
            Some(life) if life.state() == State::Finalized => life,
            _ => return Err(Status::State.because("only a finalized runtime starts again")),
        };
        *life = Runtime::start(self.id, &life.name.clone());
        let life = life.clone();
        if self.id == DEFAULT_ID {
            DEFAULT_IS_FINALIZING.store(0, Ordering::Release);
        }
        drop(registry);
        rules_changed();
        Ok(life)
    }

    /// Takes a finalized runtime other than the default one out of the registry.
    ///
    /// # Errors
    /// `State` while it is not finalized; `Invalid` for the default runtime.
    pub fn discard(&self) -> Result<()> {
        if self.id == DEFAULT_ID {
            return Err(Status::Invalid.because("the default runtime cannot be freed"));
        }
        if self.state() != State::Finalized {
            return Err(Status::State.because("finalize the runtime before you free it"));
        }
        let life = REGISTRY.lock().lives.remove(&self.id);
        drop(life);
        Ok(())
    }

    /// Its number: the same in each life, 0 for the default runtime.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The gate its threads pass.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The grace of its finalization.
    pub fn grace(&self) -> &Arc<Grace> {
        &self.grace
    }

    /// How far its life has come.
    pub fn state(&self) -> State {
        self.gate.state()
    }

    /// Counts the calls refused for being late.
    pub fn late_calls(&self) -> &Arc<AtomicU64> {
        &self.late_calls
    }

    /// Counts a late call and makes its error.
    pub fn late(&self) -> crate::status::Error {
        self.late_calls.fetch_add(1, Ordering::Relaxed);
        Status::Finalizing.error()
    }

    /// The report of its finalization, once that is done.
    pub fn outcome(&self) -> Option<Arc<Report>> {
        self.outcome.lock().clone()
    }

    /// Calls `change` on the options finalization will use.
    pub fn configure(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.options.lock());
    }

    /// Registers an at-exit callback, to run before those registered earlier.
    ///
    /// # Errors
    /// `Finalizing` once the last pass is over.
    pub fn at_exit(&self, name: &str, call: HostCall) -> Result<u64> {
        self.register(name, call, |books, entry| books.at_exit.push(entry))
    }

    /// Registers a low-level exit function; the last phase runs it.
    ///
    /// # Errors
    /// `Finalizing` once the runtime is finalized.
    pub fn on_exit(&self, name: &str, call: HostCall) -> Result<u64> {
        if self.state() == State::Finalized {
            return Err(self.late());
        }
        let mut books = self.books.lock();
        let id = books.new_id();
        let name = name.into();
        let pushed = books.exit_functions.push(Entry { id, name, call });
        if pushed { Ok(id) } else { Err(Status::NoMemory.error()) }
    }

    /// Hands the finalizing (or a polling) thread a call to make.
    ///
    /// # Errors
    /// `Finalizing` once the last pass is over.
    pub fn add_pending(&self, name: &str, call: HostCall) -> Result<u64> {
        self.register(name, call, |books, entry| {
            books.pending.try_reserve(1).is_ok() && {
                books.pending.push_back(entry);
                true
            }
        })
    }

    fn register(
        &self,
        name: &str,
        call: HostCall,
        push: impl FnOnce(&mut Books, Entry) -> bool,
    ) -> Result<u64> {
        let mut books = self.books.lock();
        if books.closed {
            drop(books);
            return Err(self.late());
        }
        let id = books.new_id();
        if push(&mut books, Entry { id, name: name.into(), call }) {
            drop(books);
            // A finalization that looks for work hears of it.
            self.gate.announce();
            Ok(id)
        } else {
            Err(Status::NoMemory.error())
        }
    }

    /// Makes the pending calls that were there when this began, oldest first, and returns how many.
    pub fn run_pending(&self, mut done: impl FnMut(&str, crate::host_call::Outcome)) -> u64 {
        let mut left = self.books.lock().pending.len();
        let mut made = 0;
        while left > 0 {
            let Some(entry) = self.books.lock().pending.pop_front() else { break };
            let outcome = entry.call.call();
            done(&entry.name, outcome);
            made += 1;
            left -= 1;
        }
        made
    }

    /// Unregisters the callback of this identity, whichever kind it is.
    ///
    /// # Errors
    /// `NotFound` if it ran, or was removed, already.
    pub fn unregister(&self, id: u64) -> Result<()> {
        let mut books = self.books.lock();
        // What is removed is dropped with nothing locked: a closure's drop is host code.
        let entry = books.at_exit.remove(id).or_else(|| books.exit_functions.remove(id)).or_else(|| {
            let at = books.pending.iter().position(|entry| entry.id == id)?;
            books.pending.remove(at)
        });
        let handler = if entry.is_none() { books.handlers.remove(id) } else { None };
        drop(books);
        if entry.is_some() || handler.is_some() {
            Ok(())
        } else {
            Err(Status::NotFound.error())
        }
    }

    /// Unregisters every at-exit callback that calls `function` (with `arg`, if given).
    pub fn unregister_function(&self, function: Function, arg: Option<*mut c_void>) -> usize {
        let removed = self.books.lock().at_exit.remove_function(function, arg);
        removed.len()
    }

    /// Hangs a handler on a phase.
    ///
    /// # Errors
    /// `Finalizing` once the phase cannot run any more.
    pub fn add_handler(&self, phase: Phase, order: i32, name: &str, call: HostCall) -> Result<u64> {
        let mut books = self.books.lock();
        let too_late = self.state() == State::Finalized || (books.closed && phase < Phase::Freeze);
        if too_late {
            drop(books);
            return Err(self.late());
        }
        let id = books.new_id();
        let name = name.into();
        let added = books.handlers.add(Arc::new(Handler { id, phase, order, name, call }));
        if added { Ok(id) } else { Err(Status::NoMemory.error()) }
    }

    pub(crate) fn admit_thread(&self, attachment: &Arc<Attachment>) -> Result<()> {
        let mut books = self.books.lock();
        if books.closed {
            drop(books);
            return Err(self.late());
        }
        books.threads.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        books.threads.push(attachment.clone());
        Ok(())
    }

    /// A thread that detached, or whose state is gone, needs no keeping; unless its host state is
    /// still to be deleted.
    pub(crate) fn forget_thread(&self, attachment: &Arc<Attachment>) {
        if !attachment.has_state() {
            let mut books = self.books.lock();
            books.threads.retain(|a| a.id() != attachment.id());
        }
        self.gate.announce();
    }

    pub(crate) fn admit_writer(&self, writer: &Arc<Writer>) -> Result<()> {
        let mut books = self.books.lock();
        if self.gate.is_shut() {
            drop(books);
            return Err(self.late());
        }
        books.writers.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        books.writers.push(writer.clone());
        Ok(())
    }

    pub(crate) fn forget_writer(&self, writer: &Writer) {
        let mut books = self.books.lock();
        let at = books.writers.iter().position(|w| std::ptr::eq(&**w, writer));
        let writer = at.map(|at| books.writers.remove(at));
        drop(books);
        drop(writer);
    }

    pub(crate) fn admit_operation(&self, operation: &Arc<Overlapped>) -> Result<()> {
        let mut books = self.books.lock();
        if self.state() == State::Finalized {
            drop(books);
            return Err(self.late());
        }
        books.operations.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        books.operations.push(operation.clone());
        Ok(())
    }

    pub(crate) fn forget_operation(&self, operation: &Overlapped) {
        let mut books = self.books.lock();
        let at = books.operations.iter().position(|o| std::ptr::eq(&**o, operation));
        let operation = at.map(|at| books.operations.swap_remove(at));
        drop(books);
        drop(operation);
    }

    /// Enters something in the ledger of deliberate leaks.
    pub(crate) fn enter_leak(&self, leak: Leak) {
        self.books.lock().leaks.push(leak);
    }

    /// Notes that host code of `name` failed outside any phase's own drain.
    pub(crate) fn note_failure(&self, name: &str, how: String) {
        self.books.lock().failures.push((name.to_owned(), how));
    }

    /// Moves the state on, and tells everybody who decides by it.
    pub(crate) fn advance(&self, state: State) {
        self.gate.advance(state);
        rules_changed();
    }

    /// `me` begins to finalize. False if somebody did already.
    pub(crate) fn begin(&self, me: OwnerId) -> bool {
        let begun = self.gate.begin(me);
        if begun {
            if self.id == DEFAULT_ID {
                DEFAULT_IS_FINALIZING.store(1, Ordering::Release);
            }
            rules_changed();
        }
        begun
    }

    /// The finalization is over: keeps its report and empties the books.
    pub(crate) fn end(&self, report: Arc<Report>) {
        *self.outcome.lock() = Some(report);
        self.advance(State::Finalized);
    }

    /// Failures noted since this was last asked.
    pub(crate) fn take_failures(&self, phase: Phase) -> Vec<Failure> {
        let failures = std::mem::take(&mut self.books.lock().failures);
        failures.into_iter().map(|(name, how)| Failure { phase, name, how }).collect()
    }
}

impl Books {
    pub(crate) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Whether the passes before `children` have nothing left to do, as seen by `me`.
    pub(crate) fn is_idle(&self, me: &Owner) -> bool {
        self.at_exit.is_empty()
            && self.pending.is_empty()
            && !self.threads.iter().any(|a| a.owner().id() != me.id() && a.holds_up_finalization())
    }
}

/// Whether some runtime has an attachment of this identity.
pub(crate) fn knows_thread(id: u64) -> bool {
    let lives: Vec<_> = REGISTRY.lock().lives.values().cloned().collect();
    lives.iter().any(|life| life.books.lock().threads.iter().any(|a| a.id() == id))
}

fn rules_changed() {
    EPOCH.fetch_add(1, Ordering::SeqCst);
    OWNERS.wake_waiters();
}

/// In the child of a `fork`: threads that were not copied are gone, with all they held.
pub(crate) fn forked() {
    let lives: Vec<_> = REGISTRY.lock().lives.values().cloned().collect();
    for life in lives {
        let threads = life.books.lock().threads.clone();
        for attachment in threads {
            if attachment.owner().fate() == crate::owner::Fate::Exited {
                attachment.thread_exited();
            }
        }
    }
}

/// The process, as the locks see it.
pub struct Process;

impl World for Process {
    fn find(&self, id: OwnerId) -> Option<Arc<Owner>> {
        OWNERS.find(id)
    }

    fn grace(&self, runtime: u32, me: OwnerId) -> Option<GraceSpan> {
        let life = REGISTRY.lock().lives.get(&runtime).cloned();
        let Some(life) = life else {
            // The default runtime was never asked for, or the lock outlived its runtime.
            return (runtime != DEFAULT_ID).then(|| GraceSpan::until(Deadline::after_us(0)));
        };
        match life.state() {
            State::Running | State::PreFinalizing => None,
            _ if life.gate.is_finalizer(me) => Some(life.grace.shared(1.0)),
            _ => Some(life.grace.own()),
        }
    }

    fn epoch(&self) -> u32 {
        // SeqCst: read before the rules are asked, changed before the waiters are woken.
        EPOCH.load(Ordering::SeqCst)
    }
}
