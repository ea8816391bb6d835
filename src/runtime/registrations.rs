//! The books of a runtime: what it has to see to before it ends.
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

/// What a runtime has to see to before it ends.
pub(crate) struct Books {
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

impl Books {
    pub(crate) const fn new() -> Books {
        Books {
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
            |books| books.closed,
            |books| books.at_exit.reserve(),
            |books, entry| {
                books.at_exit.push(entry);
            },
        )
    }

    /// Registers a low-level exit function; the last phase runs it.
    ///
    /// # Errors
    /// `Finalizing` once the exit functions have run; `NoMemory`.
    pub fn on_exit(&self, name: &str, call: HostCall) -> Result<u64> {
        let entry = Entry { id: 0, name: name.into(), call };
        let is_late = |books: &Books| books.exit_functions_over;
        self.register(
            entry,
            is_late,
            |books| books.exit_functions.reserve(),
            |books, entry| {
                books.exit_functions.push(entry);
            },
        )
    }

    /// Hands the finalizing (or a polling) thread a call to make.
    ///
    /// # Errors
    /// `Finalizing` once the last pass is over; `NoMemory`.
    pub fn add_pending(&self, name: &str, call: HostCall) -> Result<u64> {
        let entry = Entry { id: 0, name: name.into(), call };
        let reserve =
            |books: &mut Books| books.pending.try_reserve(1).map_err(|_| Status::NoMemory.error());
        self.register(
            entry,
            |books| books.closed,
            reserve,
            |books, entry| {
                books.pending.push_back(entry);
            },
        )
    }

    /// Enters `entry`, under a new id, where there is room. Made before the books are locked, and if it is refused dropped
    /// after: a closure's drop is host code.
    fn register(
        &self,
        mut entry: Entry,
        is_late: impl FnOnce(&Books) -> bool,
        reserve: impl FnOnce(&mut Books) -> Result<()>,
        enter: impl FnOnce(&mut Books, Entry),
    ) -> Result<u64> {
        let mut books = self.books.lock();
        if is_late(&books) {
            drop(books);
            return Err(self.late());
        }
        if let Err(error) = reserve(&mut books) {
            drop(books);
            drop(entry);
            return Err(error);
        }
        let id = books.new_id();
        entry.id = id;
        enter(&mut books, entry);
        drop(books);
        if self.state() != State::Running {
            // A finalization that looks for work hears of it.
            self.gate().announce();
        }
        Ok(id)
    }

    /// Has `make` make the pending calls that were there when this began, oldest first, and returns how
    /// many.
    pub(crate) fn run_pending(&self, mut make: impl FnMut(&Entry)) -> u64 {
        let mut left = self.books.lock().pending.len();
        let mut made = 0;
        while left > 0 {
            let Some(entry) = self.books.lock().pending.pop_front() else { break };
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
        let mut books = self.books.lock();
        // What is removed is dropped with nothing locked: a closure's drop is host code.
        let entry =
            books.at_exit.remove(id).or_else(|| books.exit_functions.remove(id)).or_else(|| {
                let at = books.pending.iter().position(|entry| entry.id == id)?;
                books.pending.remove(at)
            });
        let handler = if entry.is_none() { books.handlers.remove(id) } else { None };
        drop(books);
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
            let removed = self.books.lock().at_exit.remove_function(last, function, arg);
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
        // Made before the books are locked, and a refused one dropped after: a closure's drop is host code.
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
        let mut books = self.books.lock();
        let too_late =
            books.closed && (phase < Phase::Freeze || books.handlers_over >= Some(phase));
        if too_late {
            drop(books);
            return Err(self.late());
        }
        let id = books.new_id();
        if let Some(handler) = Arc::get_mut(&mut handler) {
            handler.id = id;
        }
        let added = books.handlers.add(handler.clone());
        drop(books);
        drop(handler);
        added.map(|()| id)
    }

    pub(crate) fn admit_thread(&self, attachment: &Arc<Attachment>) -> Result<()> {
        let mut books = self.books.lock();
        if books.closed {
            drop(books);
            return Err(self.late());
        }
        books.threads.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        books.threads.push(attachment.clone());
        drop(books);
        Ok(())
    }

    /// A thread that detached, or whose state is gone, needs no keeping; unless its host state is
    /// still to be deleted.
    pub(crate) fn forget_thread(&self, attachment: &Arc<Attachment>) {
        if !attachment.has_state() {
            let mut books = self.books.lock();
            books.threads.retain(|a| a.id() != attachment.id());
        }
        self.gate().announce();
    }

    pub(crate) fn admit_writer(&self, writer: &Arc<Writer>) -> Result<()> {
        let me = this_thread::id()?;
        let mut books = self.books.lock();
        // The host's own last words: a fork of CPython leaves to the library what found no room.
        let is_last_word = self.gate().is_finalizer(me) && !books.writers_over;
        if self.gate().is_shut() && !is_last_word {
            drop(books);
            return Err(self.late());
        }
        let open = books.writers.len() + 1;
        let reserved =
            books.writers.try_reserve(1).and_then(|()| books.abandoned.try_reserve(open));
        reserved.map_err(|_| Status::NoMemory.error())?;
        books.writers.push(writer.clone());
        drop(books);
        Ok(())
    }

    pub(crate) fn forget_writer(&self, writer: &Writer) {
        let mut books = self.books.lock();
        let at = books.writers.iter().position(|w| std::ptr::eq(&**w, writer));
        let writer = at.map(|at| books.writers.remove(at));
        drop(books);
        drop(writer);
    }

    /// As [`forget_writer`](Runtime::forget_writer), and the report will name what was left in it.
    pub(crate) fn abandon_writer(&self, writer: &Writer) {
        let account = writer.account();
        let mut books = self.books.lock();
        let at = books.writers.iter().position(|w| std::ptr::eq(&**w, writer));
        // In one step: the report counts it as abandoned, or as open, and not as both.
        let writer = at.map(|at| {
            books.abandoned.push(account);
            books.writers.remove(at)
        });
        drop(books);
        drop(writer);
    }

    pub(crate) fn admit_operation(&self, operation: &Arc<Overlapped>) -> Result<()> {
        let mut books = self.books.lock();
        // The gate is shut in one section with the books: the overlapped phase sees every operation.
        if self.gate().is_shut() {
            drop(books);
            return Err(self.late());
        }
        books.operations.try_reserve(1).map_err(|_| Status::NoMemory.error())?;
        books.operations.push(operation.clone());
        drop(books);
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
        crate::report::tracepoints::leak(self.id(), &leak);
        self.note(|books| &mut books.leaks, leak);
    }

    /// Notes that host code of `name` failed outside any phase's own drain.
    pub(crate) fn note_failure(&self, name: &str, how: String) {
        self.note(|books| &mut books.failures, (name.to_owned(), how));
    }

    /// Notes a wait in the host's code that has ended.
    pub(crate) fn note_wait(&self, what: String, us: u64, outcome: String, is_cut: bool) {
        let (now, span) = (now(), Duration::from_micros(us));
        let since = now.checked_sub(span).unwrap_or(now);
        self.note(|books| &mut books.blocked, HostWait { what, since, us, outcome, is_cut });
    }

    /// Notes what the host sees a thread of this number and name do.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn note_thread(&self, who: (u64, &str), doing: (ThreadState, &str)) -> Result<()> {
        let at = now();
        self.books.lock().looks.note(who, doing, at)
    }

    /// What there is no memory for is counted.
    fn note<T>(&self, list: impl FnOnce(&mut Books) -> &mut Vec<T>, entry: T) {
        let mut books = self.books.lock();
        if !try_put(list(&mut books), entry) {
            books.unnoted += 1;
        }
    }

    /// Waits of the host's since this was last asked.
    pub(crate) fn take_waits(&self) -> Vec<HostWait> {
        std::mem::take(&mut self.books.lock().blocked)
    }

    /// Failures noted since this was last asked.
    pub(crate) fn take_failures(&self, phase: Phase) -> Vec<Failure> {
        let failures = std::mem::take(&mut self.books.lock().failures);
        failures.into_iter().map(|(name, how)| Failure { phase, name, how }).collect()
    }
}
