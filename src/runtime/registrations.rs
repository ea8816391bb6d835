//! The registrations of a runtime: what it has to see to before it ends.
//!
//! # Admission
//!
//! Everything that could give finalization more work (threads, at-exit callbacks, pending calls,
//! handlers, children) is kept under one mutex, with one flag: closed. The step to `freeze` looks whether all
//! is empty, sets the flag and moves the state in one section. What came before that is seen and the
//! passes go round again; what comes after is refused.

use crate::phase::Phase;
use crate::report::ledger::Leak;
use crate::report::{Destination, Failure, Looks, Report, ThreadState};
use crate::runtime::Runtime;
use crate::runtime::attachment::Attachment;
use crate::runtime::events::Recoveries;
use crate::runtime::exit_callbacks::{Entry, Stack};
use crate::runtime::handlers::{Handler, HandlerOptions, Handlers, Work};
use crate::runtime::lifecycle::State;
use crate::runtime::objects::Objects;
use crate::runtime::overlapped::Overlapped;
use crate::runtime::writer::Writer;
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicU64, now};
use crate::sys::memory::try_put;
use crate::thread::host_call::{Function, HostCall};
use crate::thread::record::Owner;
use crate::thread::this_thread;
use libc::c_void;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A wait of the host's.
pub(crate) struct HostWait {
    pub what: String,
    pub since: Instant,
    /// How long, in microseconds.
    pub us: u64,
    pub outcome: String,
    /// It ended before what it was for had come.
    pub is_cut: bool,
}

/// For the phases, the watch and the report of a runtime with nothing registered, and for the small objects of each
/// step.
const BASE: usize = 12 * 1024;

/// For each thread, writer, operation and child: what the report says of it, and its places in lists. Callbacks need
/// nothing: a note of how one failed is left out where there is no memory for it.
const EACH: usize = 1024;

/// What a runtime has to see to before it ends.
pub(crate) struct Registrations {
    /// Nothing that makes work for the phases before `freeze` is admitted any more.
    pub closed: bool,
    /// The last phase whose handlers have all run.
    pub handlers_over: Option<Phase>,
    /// The exit functions have all run.
    pub exit_functions_over: bool,
    /// The writers are sealed.
    pub writers_over: bool,
    pub next_id: u64,
    pub threads: Vec<Arc<Attachment>>,
    pub at_exit: Stack,
    pub exit_functions: Stack,
    pub pending: VecDeque<Entry>,
    pub handlers: Handlers,
    pub writers: Vec<Arc<Writer>>,
    pub operations: Vec<Arc<Overlapped>>,
    /// Those not finalized yet, the youngest last.
    pub children: Vec<Arc<Runtime>>,
    /// What children said that were finalized during this finalization.
    pub child_reports: Vec<Arc<Report>>,
    pub objects: Objects,
    pub leaks: Vec<Leak>,
    pub recoveries: Recoveries,
    pub failures: Vec<(String, String)>,
    /// Waits of the host's.
    pub blocked: Vec<HostWait>,
    /// What the host saw its threads do.
    pub looks: Looks,
    /// Writers their hosts gave up with bytes still in them. There is room for every one that is open.
    pub abandoned: Vec<Destination>,
    /// What else there was to note, and no memory for it.
    pub unnoted: u64,
}

impl Registrations {
    pub(crate) const fn new() -> Registrations {
        Registrations {
            closed: false,
            handlers_over: None,
            exit_functions_over: false,
            writers_over: false,
            next_id: 1,
            threads: Vec::new(),
            at_exit: Stack::new(),
            exit_functions: Stack::new(),
            pending: VecDeque::new(),
            handlers: Handlers::new(),
            writers: Vec::new(),
            operations: Vec::new(),
            children: Vec::new(),
            child_reports: Vec::new(),
            objects: Objects::new(),
            leaks: Vec::new(),
            recoveries: Recoveries::new(),
            failures: Vec::new(),
            blocked: Vec::new(),
            looks: Looks::new(),
            abandoned: Vec::new(),
            unnoted: 0,
        }
    }

    pub(crate) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Whether a callback still waits to be called before the freeze.
    pub(crate) fn has_calls(&self) -> bool {
        !self.at_exit.is_empty() || !self.pending.is_empty()
    }

    /// Whether a thread other than `me` must be waited for.
    pub(crate) fn holds_up(&self, me: &Owner) -> bool {
        self.threads.iter().any(|a| a.owner().id() != me.id() && a.holds_up_finalization())
    }

    /// Whether this is one of the children.
    pub(crate) fn knows_child(&self, child: &Runtime) -> bool {
        self.children.iter().any(|known| std::ptr::eq(&**known, child))
    }

    /// What its finalization may have to allocate, without that of its children.
    pub(crate) fn need(&self) -> usize {
        let each = self.threads.len() + self.writers.len() + self.operations.len();
        BASE + (each + self.children.len()) * EACH
    }
}

impl Runtime {
    /// Registers an at-exit callback, to run before those registered earlier.
    ///
    /// # Errors
    /// `Finalizing` once the last pass is over; `NoMemory`.
    pub fn at_exit(&self, name: &str, call: HostCall) -> Result<u64> {
        let entry = Entry { id: 0, name: name.into(), call };
        self.register(
            entry,
            |registrations| registrations.closed,
            |registrations| registrations.at_exit.reserve(),
            |registrations, entry| {
                registrations.at_exit.push(entry);
            },
        )
    }

    /// Registers a low-level exit function; the last phase runs it.
    ///
    /// # Errors
    /// `Finalizing` once the exit functions have run; `NoMemory`.
    pub fn on_exit(&self, name: &str, call: HostCall) -> Result<u64> {
        let entry = Entry { id: 0, name: name.into(), call };
        let is_late = |registrations: &Registrations| registrations.exit_functions_over;
        self.register(
            entry,
            is_late,
            |registrations| registrations.exit_functions.reserve(),
            |registrations, entry| {
                registrations.exit_functions.push(entry);
            },
        )
    }

    /// Hands the finalizing (or a polling) thread a call to make.
    ///
    /// # Errors
    /// `Finalizing` once the last pass is over; `NoMemory`.
    pub fn add_pending(&self, name: &str, call: HostCall) -> Result<u64> {
        let entry = Entry { id: 0, name: name.into(), call };
        let reserve = |registrations: &mut Registrations| {
            registrations.pending.try_reserve(1).map_err(|_| Status::NoMemory.error())
        };
        self.register(
            entry,
            |registrations| registrations.closed,
            reserve,
            |registrations, entry| {
                registrations.pending.push_back(entry);
            },
        )
    }

    /// Enters `entry`, under a new id, where there is room. Made before the registrations are locked, and if it is refused dropped
    /// after: a closure's drop is host code.
    fn register(
        &self,
        mut entry: Entry,
        is_late: impl FnOnce(&Registrations) -> bool,
        reserve: impl FnOnce(&mut Registrations) -> Result<()>,
        enter: impl FnOnce(&mut Registrations, Entry),
    ) -> Result<u64> {
        let mut registrations = self.registrations.lock();
        if is_late(&registrations) {
            drop(registrations);
            return Err(self.late());
        }
        if let Err(error) = reserve(&mut registrations) {
            drop(registrations);
            drop(entry);
            return Err(error);
        }
        let id = registrations.new_id();
        entry.id = id;
        enter(&mut registrations, entry);
        drop(registrations);
        if self.state() != State::Running {
            // A finalization that looks for work hears of it.
            self.gate().announce();
        }
        Ok(id)
    }

    /// Has `make` make the pending calls that were there when this began, oldest first, and returns how
    /// many.
    pub(crate) fn run_pending(&self, mut make: impl FnMut(&Entry)) -> u64 {
        let mut left = self.registrations.lock().pending.len();
        let mut made = 0;
        while left > 0 {
            let Some(entry) = self.registrations.lock().pending.pop_front() else { break };
            make(&entry);
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
        let mut registrations = self.registrations.lock();
        // What is removed is dropped with nothing locked: a closure's drop is host code.
        let entry = registrations
            .at_exit
            .remove(id)
            .or_else(|| registrations.exit_functions.remove(id))
            .or_else(|| {
                let at = registrations.pending.iter().position(|entry| entry.id == id)?;
                registrations.pending.remove(at)
            });
        let handler = if entry.is_none() { registrations.handlers.remove(id) } else { None };
        drop(registrations);
        if entry.is_some() || handler.is_some() { Ok(()) } else { Err(Status::NotFound.error()) }
    }

    /// Unregisters every at-exit callback that calls `function` (with `arg`, if given).
    pub(crate) fn unregister_function(
        &self,
        function: Function,
        arg: Option<*mut c_void>,
    ) -> usize {
        let (mut last, mut count) = (0, 0);
        loop {
            // One at a time: each is dropped with nothing locked.
            let removed = self.registrations.lock().at_exit.remove_function(last, function, arg);
            let Some(entry) = removed else { return count };
            (last, count) = (entry.id, count + 1);
        }
    }

    /// Hangs a handler on a phase.
    ///
    /// # Errors
    /// `Finalizing` once the phase cannot run any more.
    pub fn add_handler(&self, phase: Phase, order: i32, name: &str, call: HostCall) -> Result<u64> {
        self.add_handler_with(
            phase,
            name,
            HandlerOptions { order, ..HandlerOptions::default() },
            call,
        )
    }

    /// As [`add_handler`](Runtime::add_handler), with dependencies by name.
    ///
    /// # Errors
    /// Also `Cycle`, if they close one; `Invalid` for one that is not waited for where there may be
    /// no daemons.
    pub fn add_handler_with(
        &self,
        phase: Phase,
        name: &str,
        options: HandlerOptions,
        call: HostCall,
    ) -> Result<u64> {
        if options.work == Work::Continue && self.born_with().no_daemons {
            return Err(Status::Invalid.because("this runtime takes no work that may outlive it"));
        }
        let HandlerOptions { order, after, before, work } = options;
        // Made before the registrations are locked, and a refused one dropped after: a closure's drop is host code.
        let mut handler = Arc::new(Handler {
            id: 0,
            phase,
            order,
            name: name.into(),
            after,
            before,
            work,
            last_turn: AtomicU64::new(0),
            call,
        });
        let mut registrations = self.registrations.lock();
        let too_late = registrations.closed
            && (phase < Phase::Freeze || registrations.handlers_over >= Some(phase));
        if too_late {
            drop(registrations);
            return Err(self.late());
        }
        let id = registrations.new_id();
        if let Some(handler) = Arc::get_mut(&mut handler) {
            handler.id = id;
        }
        let added = registrations.handlers.add(handler.clone());
        drop(registrations);
        drop(handler);
        added.map(|()| id)
    }

    pub(crate) fn admit_thread(&self, attachment: &Arc<Attachment>) -> Result<()> {
        let mut registrations = self.registrations.lock();
        if registrations.closed {
            drop(registrations);
            return Err(self.late());
        }
        registrations.threads.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        registrations.threads.push(attachment.clone());
        drop(registrations);
        Ok(())
    }

    /// A thread that detached, or whose state is gone, needs no keeping; unless its host state is
    /// still to be deleted.
    pub(crate) fn forget_thread(&self, attachment: &Arc<Attachment>) {
        if !attachment.has_state() {
            let mut registrations = self.registrations.lock();
            registrations.threads.retain(|a| a.id() != attachment.id());
        }
        self.gate().announce();
    }

    pub(crate) fn admit_writer(&self, writer: &Arc<Writer>) -> Result<()> {
        let me = this_thread::id()?;
        let mut registrations = self.registrations.lock();
        // The host's own last words: a fork of CPython leaves to the library what found no room.
        let is_last_word = self.gate().is_finalizer(me) && !registrations.writers_over;
        if self.gate().is_shut() && !is_last_word {
            drop(registrations);
            return Err(self.late());
        }
        let open = registrations.writers.len() + 1;
        let reserved = registrations
            .writers
            .try_reserve(1)
            .and_then(|()| registrations.abandoned.try_reserve(open));
        reserved.map_err(|_| Status::NoMemory.error())?;
        registrations.writers.push(writer.clone());
        drop(registrations);
        Ok(())
    }

    pub(crate) fn forget_writer(&self, writer: &Writer) {
        let mut registrations = self.registrations.lock();
        let at = registrations.writers.iter().position(|w| std::ptr::eq(&**w, writer));
        let writer = at.map(|at| registrations.writers.remove(at));
        drop(registrations);
        drop(writer);
    }

    /// As [`forget_writer`](Runtime::forget_writer), and the report will name what was left in it.
    pub(crate) fn abandon_writer(&self, writer: &Writer) {
        let account = writer.account();
        let mut registrations = self.registrations.lock();
        let at = registrations.writers.iter().position(|w| std::ptr::eq(&**w, writer));
        // In one step: the report counts it as abandoned, or as open, and not as both.
        let writer = at.map(|at| {
            registrations.abandoned.push(account);
            registrations.writers.remove(at)
        });
        drop(registrations);
        drop(writer);
    }

    pub(crate) fn admit_operation(&self, operation: &Arc<Overlapped>) -> Result<()> {
        let mut registrations = self.registrations.lock();
        // The gate is shut in one section with the registrations: the overlapped phase sees every operation.
        if self.gate().is_shut() {
            drop(registrations);
            return Err(self.late());
        }
        registrations.operations.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        registrations.operations.push(operation.clone());
        drop(registrations);
        Ok(())
    }

    pub(crate) fn forget_operation(&self, operation: &Overlapped) {
        let mut registrations = self.registrations.lock();
        let at = registrations.operations.iter().position(|o| std::ptr::eq(&**o, operation));
        let operation = at.map(|at| registrations.operations.swap_remove(at));
        drop(registrations);
        drop(operation);
    }

    /// Enters something in the ledger of deliberate leaks.
    pub(crate) fn enter_leak(&self, leak: Leak) {
        crate::report::tracepoints::leak(self.id(), &leak);
        self.note(|registrations| &mut registrations.leaks, leak);
    }

    /// Notes that host code of `name` failed outside any phase's own drain.
    pub(crate) fn note_failure(&self, name: &str, how: String) {
        self.note(|registrations| &mut registrations.failures, (name.to_owned(), how));
    }

    /// Notes a wait in the host's code that has ended.
    pub(crate) fn note_wait(&self, what: String, us: u64, outcome: String, is_cut: bool) {
        let (now, span) = (now(), Duration::from_micros(us));
        let since = now.checked_sub(span).unwrap_or(now);
        self.note(
            |registrations| &mut registrations.blocked,
            HostWait { what, since, us, outcome, is_cut },
        );
    }

    /// Notes what the host sees a thread of this number and name do.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn note_thread(&self, who: (u64, &str), doing: (ThreadState, &str)) -> Result<()> {
        let at = now();
        self.registrations.lock().looks.note(who, doing, at)
    }

    /// What there is no memory for is counted.
    fn note<T>(&self, list: impl FnOnce(&mut Registrations) -> &mut Vec<T>, entry: T) {
        let mut registrations = self.registrations.lock();
        if !try_put(list(&mut registrations), entry) {
            registrations.unnoted += 1;
        }
    }

    /// Waits of the host's since this was last asked.
    pub(crate) fn take_waits(&self) -> Vec<HostWait> {
        std::mem::take(&mut self.registrations.lock().blocked)
    }

    /// Failures noted since this was last asked.
    pub(crate) fn take_failures(&self, phase: Phase) -> Vec<Failure> {
        let failures = std::mem::take(&mut self.registrations.lock().failures);
        failures.into_iter().map(|(name, how)| Failure { phase, name, how }).collect()
    }
}
