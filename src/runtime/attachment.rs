//! A thread's attachment to a runtime: entering, leaving, checkpoints, and what happens to a thread
//! that comes when the runtime is shut.
//!
//! CPython's counterparts: attach is `PyThreadState_New`, enter and leave are
//! `PyEval_RestoreThread` and `PyEval_SaveThread`, a checkpoint is the eval breaker.

pub(crate) mod own;
pub(crate) mod parked;

use crate::runtime::Runtime;
use crate::runtime::events::{Late, Subject};
use crate::runtime::guards::view::Pin;
use crate::runtime::lifecycle::{Gate, Place, Position, State};
use crate::status::{Result, Status};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use crate::sys::process_end;
use crate::thread::host_call::{self, HostCall, Outcome};
use crate::thread::record::{OwnerId, OwnerRef};
use crate::thread::this_thread;
use std::sync::Weak;

/// What becomes of a thread that comes to a checkpoint, or wants to enter, once its runtime
/// finalizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Policy {
    /// It is parked for good (CPython ≥ 3.14). Its stack stays; nothing is unwound.
    #[default]
    Hang = 1,
    /// It gets `Finalizing`. Best for native code that can give up by itself.
    Error = 2,
    /// It gets `ExitThread`, and its own C frame calls `pthread_exit` (CPython ≤ 3.13).
    Exit = 3,
}

impl Policy {
    /// The policy of this number.
    pub fn from_number(number: u32) -> Option<Policy> {
        [Policy::Hang, Policy::Error, Policy::Exit].into_iter().find(|p| *p as u32 == number)
    }
}

/// How a thread attaches.
#[derive(Default)]
pub struct ThreadOptions {
    /// The name reports use.
    pub name: Option<Box<str>>,
    /// Whether finalization does not wait for the thread to detach.
    pub daemon: bool,
    /// Whether it waits only while the thread is inside, and lets it in no more.
    pub may_skip: bool,
    /// What becomes of it once the runtime finalizes.
    pub policy: Policy,
    /// Frees the host's state for the thread. Called once: by `detach`, or by finalization
    /// when the thread has exited or can never run again; else never, and the ledger says so.
    pub delete_state: Option<HostCall>,
}

/// One thread's attachment to one runtime.
pub struct Attachment {
    id: u64,
    place: Place,
    gate: Arc<Gate>,
    runtime: Weak<Runtime>,
    runtime_id: u32,
    pin: Option<Pin>,
    owner: OwnerRef,
    name: Option<Box<str>>,
    daemon: bool,
    may_skip: bool,
    policy: Policy,
    delete_state: Mutex<Option<HostCall>>,
    undetached: AtomicBool,
    /// Set while the thread waits for another thread's finalization; it will not detach then.
    awaits_finalizer: AtomicBool,
    late_calls: Arc<AtomicU64>,
}

/// 64 bits: a host that attaches for every call would come round 32 within hours.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Attachment {
    /// Attaches the calling thread to `runtime`; it is outside then.
    ///
    /// # Errors
    /// `AlreadyAttached`; `Invalid` for a daemon where there may be none; `Finalizing` once the runtime
    /// no longer admits threads.
    pub fn attach(runtime: &Arc<Runtime>, options: ThreadOptions) -> Result<Arc<Attachment>> {
        let owner = this_thread::owner()?;
        if Attachment::of_this_thread(runtime).is_some() {
            return Err(Status::AlreadyAttached.error());
        }
        if options.daemon && runtime.born_with().no_daemons {
            return Err(Status::Invalid.because("this runtime takes no daemon threads"));
        }
        if options.name.is_some() {
            owner.set_name(options.name.as_deref());
        }
        let attachment = Arc::new(Attachment {
            // An identity for handles: two live attachments of one thread never share it.
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            place: Place::new(),
            gate: runtime.gate().clone(),
            runtime: Arc::downgrade(runtime),
            runtime_id: runtime.id(),
            pin: runtime.pin(),
            owner,
            name: options.name,
            daemon: options.daemon,
            may_skip: options.may_skip,
            policy: options.policy,
            delete_state: Mutex::new(options.delete_state),
            undetached: AtomicBool::new(false),
            awaits_finalizer: AtomicBool::new(false),
            late_calls: runtime.late_calls().clone(),
        });
        runtime.admit_thread(&attachment)?;
        own::attachments(|list| list.push(attachment.clone()))?;
        Ok(attachment)
    }

    /// The calling thread's attachment to `runtime`.
    pub fn of_this_thread(runtime: &Runtime) -> Option<Arc<Attachment>> {
        this_thread::known_id()?;
        own::attachments(|list| {
            list.iter().find(|a| std::ptr::eq(&*a.gate, &**runtime.gate())).cloned()
        })
        .ok()?
    }

    /// The calling thread's attachment with this handle.
    pub(crate) fn of_this_thread_by_id(id: u64) -> Option<Arc<Attachment>> {
        this_thread::known_id()?;
        own::attachments(|list| list.iter().find(|a| a.id == id).cloned()).ok()?
    }

    /// Its identity among all attachments.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where guards pin its runtime's life.
    #[inline]
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// The thread.
    pub(crate) fn owner(&self) -> &OwnerRef {
        &self.owner
    }

    /// Whether finalization does not wait for it.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Where it stands.
    pub(crate) fn position(&self) -> Position {
        self.place.position()
    }

    /// Whether its thread ended without detaching.
    pub(crate) fn ended_undetached(&self) -> bool {
        self.undetached.load(Ordering::Relaxed)
    }

    /// Whether finalization must wait for it to detach.
    pub(crate) fn holds_up_finalization(&self) -> bool {
        let holds_up = match self.position() {
            Position::Inside => true,
            Position::Outside => !self.may_skip,
            Position::Parked | Position::Gone => false,
        };
        holds_up && !self.daemon && !self.awaits_finalizer.load(Ordering::Relaxed)
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whom a report names.
    pub fn describe(&self) -> String {
        let kind = if self.daemon { "daemon thread" } else { "thread" };
        match &self.name {
            Some(name) => format!("{kind} '{name}' (thread {})", self.owner.tid()),
            None => format!("{kind} {}", self.owner.tid()),
        }
    }

    /// As something that is waited for too long.
    pub(crate) fn late(&self) -> Late {
        let name = self.name().unwrap_or_default().to_owned();
        Late::kept_by(Some(&*self.owner), Subject::Thread, name, self.describe())
    }

    fn me(&self) -> Result<OwnerId> {
        let me = this_thread::id()?;
        if me == self.owner.id() { Ok(me) } else { Err(Status::WrongThread.error()) }
    }

    /// The calling thread goes inside.
    ///
    /// # Errors
    /// `State` if it is inside already; by policy `Finalizing` or `ExitThread`. With the policy
    /// `Hang` a thread that comes too late does not return.
    pub fn enter(&self) -> Result<()> {
        let me = self.me()?;
        match self.position() {
            Position::Outside => {}
            Position::Inside => return Err(Status::State.because("the thread is inside already")),
            Position::Parked | Position::Gone => return Err(Status::NotAttached.error()),
        }
        // One that gets in although finalization began just now is waited for.
        let skipped =
            self.may_skip && self.gate.state() != State::Running && !self.gate.is_finalizer(me);
        if !skipped && self.gate.enter(&self.place, me) { Ok(()) } else { self.stop() }
    }

    /// The calling thread goes outside. Never fails for being late.
    ///
    /// # Errors
    /// `State` if it is not inside.
    pub fn leave(&self) -> Result<()> {
        self.me()?;
        if self.position() != Position::Inside {
            return Err(Status::State.because("the thread is not inside"));
        }
        self.gate.depart(&self.place, Position::Outside);
        Ok(())
    }

    /// Waits with the calling thread outside `runtime`, and enters again if it was inside.
    ///
    /// It holds no reference to the runtime while it waits, since the wait may never end.
    ///
    /// # Errors
    /// What `wait` gives; once the runtime is frozen, what entering gives (with the policy `Hang` it does
    /// not return).
    pub(crate) fn outside_while<T>(
        runtime: &Weak<Runtime>,
        wait: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let inside = runtime
            .upgrade()
            .and_then(|runtime| Attachment::of_this_thread(&runtime))
            .filter(|attachment| attachment.position() == Position::Inside);
        let Some(attachment) = inside else { return wait() };
        attachment.leave()?;
        let waited = wait();
        attachment.enter().and(waited)
    }

    /// Called often by a thread that runs inside; costs one load while nothing is up.
    ///
    /// # Errors
    /// As [`enter`](Attachment::enter); after an error the thread is outside.
    #[inline]
    pub fn checkpoint(&self) -> Result<()> {
        if !self.gate.is_shut() { Ok(()) } else { self.checkpoint_shut() }
    }

    #[cold]
    fn checkpoint_shut(&self) -> Result<()> {
        let me = self.me()?;
        if self.gate.is_finalizer(me) {
            return Ok(());
        }
        if self.position() == Position::Inside && self.policy() != Policy::Hang {
            self.gate.depart(&self.place, Position::Outside);
        }
        self.stop()
    }

    /// What becomes of the calling thread when it comes too late. One that is finalizing another
    /// runtime is not parked: nobody could end that finalization. Nor is the last one of a process that
    /// ends: nobody else is there to end it.
    fn policy(&self) -> Policy {
        match self.policy {
            Policy::Hang if host_call::is_finalizing() || process_end::under_way() => Policy::Error,
            policy => policy,
        }
    }

    /// The calling thread has come too late.
    fn stop(&self) -> Result<()> {
        let refusal = match self.policy() {
            Policy::Error => Status::Finalizing,
            Policy::Exit => Status::ExitThread,
            Policy::Hang => parked::park_for_good(),
        };
        let before = self.late_calls.fetch_add(1, Ordering::Relaxed);
        crate::report::tracepoints::late_call(self.runtime_id, before + 1);
        Err(refusal.error())
    }

    /// The calling thread detaches. While the runtime lives its host state is deleted here; once it
    /// finalizes, by the `reclaim` phase.
    ///
    /// # Errors
    /// `NotAttached` if it detached already.
    pub fn detach(self: &Arc<Attachment>) -> Result<()> {
        let me = self.me()?;
        if matches!(self.position(), Position::Gone | Position::Parked) {
            return Err(Status::NotAttached.error());
        }
        own::attachments(|list| list.retain(|a| a.id != self.id))?;
        // The deleter may use the runtime, so it runs inside, where the freezer waits for it. When
        // the gate is shut the state is left to the reclaim phase.
        let inside = self.position() == Position::Inside || self.gate.enter(&self.place, me);
        if inside
            && !self.gate.is_shut()
            && let Some(outcome) = self.delete_state()
            && outcome.failed()
            && let Some(runtime) = self.runtime.upgrade()
        {
            runtime
                .note_failure(&self.describe(), format!("its state's deleter {}", outcome.text()));
        }
        self.gate.depart(&self.place, Position::Gone);
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.forget_thread(self);
        }
        Ok(())
    }

    /// Deletes the host state, if that was not done yet.
    pub(crate) fn delete_state(&self) -> Option<Outcome> {
        let call = self.delete_state.lock().take();
        call.map(|call| match self.runtime.upgrade() {
            Some(runtime) => call.call_for(&runtime),
            None => call.call(),
        })
    }

    /// Whether a host state is still to be deleted.
    pub(crate) fn has_state(&self) -> bool {
        self.delete_state.lock().is_some()
    }

    /// Its thread ended while attached.
    pub(crate) fn thread_exited(&self) {
        self.undetached.store(true, Ordering::Relaxed);
        self.depart(Position::Gone);
    }

    /// The calling thread, whose attachment this is, will not come back.
    pub(crate) fn depart(&self, position: Position) {
        self.gate.depart(&self.place, position);
    }

    /// Notes for the length of `work` that the calling thread finalizes `runtime`: another thread that
    /// finalizes a descendant must not wait for it, for it waits for them.
    pub(crate) fn while_finalizing<R>(runtime: &Runtime, work: impl FnOnce() -> R) -> R {
        let mut below = own::attachments(|list| list.clone()).unwrap_or_default();
        below.retain(|attachment| {
            let attached_to = attachment.runtime.upgrade();
            attached_to.is_some_and(|r| r.id() != runtime.id() && r.is_within(runtime))
        });
        let set = |awaits| {
            for attachment in &below {
                attachment.awaits_finalizer.store(awaits, Ordering::Relaxed);
                attachment.gate.announce();
            }
        };
        set(true);
        let result = work();
        set(false);
        result
    }

    /// Notes for the length of `wait` that the thread waits for another's finalization.
    pub(crate) fn while_awaiting_finalizer<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.awaits_finalizer.store(true, Ordering::Relaxed);
        self.gate.announce();
        let result = wait();
        self.awaits_finalizer.store(false, Ordering::Relaxed);
        result
    }
}
