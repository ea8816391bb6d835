//! A runtime: one life of one, from its start to its finalization.
//!
//! What is registered with it is in its [registrations](crate::runtime::registrations); which lives there are is in the
//! [`registry`].

pub mod attachment;
mod children;
pub(crate) mod environment;
pub mod events;
pub(crate) mod exit_callbacks;
pub(crate) mod fork_child;
pub(crate) mod guards;
pub mod handlers;
pub(crate) mod lifecycle;
mod memory_need;
pub(crate) mod objects;
pub mod options;
pub(crate) mod overlapped;
pub(crate) mod reentry;
pub(crate) mod registrations;
pub(crate) mod registry;
pub(crate) mod thread_hooks;
pub(crate) mod waits;
pub mod writer;

use crate::lock::grace::Grace;
use crate::report::Report;
use crate::runtime::attachment::Attachment;
use crate::runtime::guards::view::{Guarded, Pin};
use crate::runtime::lifecycle::{Gate, State};
use crate::runtime::options::Options;
use crate::runtime::registrations::Registrations;
use crate::runtime::waits::Waits;
use crate::status::{Error, Status};
use crate::sync::{Arc, AtomicBool, AtomicU64, Deadline, Mutex, Ordering};
use crate::thread::record::OwnerId;
use std::sync::Weak;

/// What a runtime is born with, and keeps in every life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// The name reports use.
    pub name: Box<str>,
    /// Whether daemon threads may not attach.
    pub no_daemons: bool,
}

/// Who watches a finalization.
pub(crate) trait Watchdog: Send + Sync {
    /// Work that did not look as if it could wait is about to. Called on the finalizing thread, inside a callback.
    fn begin_late(self: Arc<Self>);
}

/// One life of a runtime.
pub struct Runtime {
    id: u32,
    born_with: RuntimeOptions,
    /// The numbers of its parent, its parent's parent and so on.
    ancestors: Box<[u32]>,
    /// The life of its parent that this life belongs to.
    parent: Weak<Runtime>,
    gate: Arc<Gate>,
    pin: Option<Pin>,
    grace: Arc<Grace>,
    late_calls: Arc<AtomicU64>,
    /// For its finalization.
    pub(crate) registrations: Mutex<Registrations>,
    pub(crate) options: Mutex<Options>,
    /// When the waits of the present phase must end.
    phase_deadline: Mutex<Deadline>,
    waits: Waits,
    /// Who watches the finalization that is under way.
    pub(crate) watchdog: Mutex<Option<Arc<dyn Watchdog>>>,
    outcome: Mutex<Option<Arc<Report>>>,
    /// It was finalized by a `fork` that left its finalizer behind, and nobody has heard of it yet.
    cut_off: AtomicBool,
}

impl Runtime {
    pub(crate) fn start(
        id: u32,
        born_with: RuntimeOptions,
        parent: Option<&Arc<Runtime>>,
    ) -> Arc<Runtime> {
        crate::thread::this_thread::watch_forks();
        thread_hooks::install();
        let options = Options::default();
        let ancestors = parent.map_or_else(Box::default, |parent| {
            std::iter::once(parent.id).chain(parent.ancestors.iter().copied()).collect()
        });
        let runtime = Arc::new(Runtime {
            id,
            born_with,
            ancestors,
            parent: parent.map_or_else(Weak::new, Arc::downgrade),
            gate: Arc::new(Gate::new()),
            // Without memory for it the life has no guards.
            pin: Pin::begin().ok(),
            grace: Arc::new(Grace::new(options.grace_us)),
            late_calls: Arc::default(),
            registrations: Mutex::new(Registrations::new()),
            options: Mutex::new(options),
            phase_deadline: Mutex::new(Deadline::NEVER),
            waits: Waits::new(),
            watchdog: Mutex::new(None),
            outcome: Mutex::new(None),
            cut_off: AtomicBool::new(false),
        });
        if let Some(pin) = runtime.pin {
            let guarded: Arc<dyn Guarded> = runtime.clone();
            pin.is_of(Arc::downgrade(&guarded));
        }
        runtime
    }

    /// Its number: the same in each life, 0 for the default runtime.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.born_with.name
    }

    /// What it was born with.
    pub fn born_with(&self) -> &RuntimeOptions {
        &self.born_with
    }

    /// The numbers of its ancestors, its parent's first.
    pub fn ancestors(&self) -> &[u32] {
        &self.ancestors
    }

    /// The life of its parent that it belongs to.
    pub(crate) fn parent(&self) -> Option<Arc<Runtime>> {
        self.parent.upgrade()
    }

    /// Whether it is `other`, in whichever life, or a descendant of it.
    pub fn is_within(&self, other: &Runtime) -> bool {
        self.id == other.id || self.ancestors.contains(&other.id)
    }

    /// The gate its threads pass.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Where guards pin this life; `None` if there was no memory for that.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// The grace of its finalization.
    pub(crate) fn grace(&self) -> &Arc<Grace> {
        &self.grace
    }

    /// What is left of the grace of its finalization, in microseconds.
    pub fn grace_left_us(&self) -> i64 {
        self.grace.left_us()
    }

    /// How far its life has come.
    pub fn state(&self) -> State {
        self.gate.state()
    }

    /// Counts the calls refused for being late.
    pub(crate) fn late_calls(&self) -> &Arc<AtomicU64> {
        &self.late_calls
    }

    /// Counts a late call and makes its error.
    pub(crate) fn late(&self) -> Error {
        let before = self.late_calls.fetch_add(1, Ordering::Relaxed);
        crate::report::tracepoints::late_call(self.id, before + 1);
        Status::Finalizing.error()
    }

    /// The report of its finalization, once that is done.
    pub fn outcome(&self) -> Option<Arc<Report>> {
        self.outcome.lock().clone()
    }

    pub(crate) fn mark_cut_off(&self) {
        self.cut_off.store(true, Ordering::Relaxed);
    }

    /// Whether the caller is the first to hear that a `fork` cut its finalization off.
    pub(crate) fn hears_of_cut(&self) -> bool {
        self.cut_off.swap(false, Ordering::Relaxed)
    }

    /// When the waits of the present phase must end; never while the runtime runs.
    pub(crate) fn phase_deadline(&self) -> Deadline {
        *self.phase_deadline.lock()
    }

    pub(crate) fn set_phase_deadline(&self, deadline: Deadline) {
        *self.phase_deadline.lock() = deadline;
    }

    /// What callbacks of its finalization wait for.
    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The options finalization will use.
    pub fn options(&self) -> Options {
        self.options.lock().clone()
    }

    /// Calls `change` on the options finalization will use.
    pub fn configure(&self, change: impl FnOnce(&mut Options)) {
        let mut options = self.options.lock();
        let listener = options.on_event.clone();
        change(&mut options);
        drop(options);
        // With nothing locked: what a listener captured is dropped by host code.
        drop(listener);
    }

    /// Moves the state on, and tells everybody who decides by it.
    pub(crate) fn advance(&self, state: State) {
        self.gate.advance(state);
        registry::flag_state(self, state);
        registry::rules_changed();
    }

    /// `me` begins to finalize. False if somebody did already.
    pub(crate) fn begin(&self, me: OwnerId) -> bool {
        let begun = self.gate.begin(me);
        if begun {
            registry::flag_state(self, State::PreFinalizing);
            registry::rules_changed();
        }
        begun
    }

    /// The finalization is over: keeps its report and empties the registrations.
    pub(crate) fn end(&self, report: Arc<Report>) {
        *self.outcome.lock() = Some(report);
        self.advance(State::Finalized);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            pin.end();
        }
    }
}

impl Guarded for Runtime {
    fn announce(&self) {
        self.gate.announce();
    }

    fn is_finalized_by(&self, me: OwnerId) -> bool {
        self.gate.is_finalizer(me)
    }

    fn waits_for_this_thread(&self) -> bool {
        Attachment::of_this_thread(self).is_some_and(|it| it.holds_up_finalization())
    }

    fn late(&self) -> Error {
        Runtime::late(self)
    }
}
