//! A buffered writer that is exact about every byte.
//!
//! CPython's counterpart is `BufferedWriter`. Two promises are ours:
//!
//! - A record (the bytes of one `write`) is accepted whole or not at all, whatever its size, and
//!   records of several threads never mix.
//! - What is accepted is written exactly once, or counted. At any time
//!   `accepted = written + in the buffer`, and at the end `accepted = written + unwritten + in flight`.
//!
//! # Not holding the lock over a wait
//!
//! When the destination has no room, the lock is released, the thread leaves the runtime, waits,
//! enters and takes the lock again. So a writer blocked on a full pipe owns nothing: the finalizer
//! flushes past it. (CPython holds the lock there; that is the abort people report.) Two cases
//! remain in which a raw write is under way with the lock held: a destination that cannot say "no
//! room" beforehand, and host callbacks. For them the core notes what is offered to the destination
//! before the call, and the lock's progress cell what of it was taken.
//!
//! # The seal
//!
//! At its end finalization seals every writer, whoever holds its lock. The flow (what is accepted,
//! what is offered, what was taken, the seal) has a small mutex of its own, held for a few
//! instructions: a record counts as accepted, and an offer is noted before the raw write begins,
//! unless the seal is there already. So the account taken with the seal is exact: bytes of an offer
//! that has not returned are *in flight*, nothing can be offered or accepted afterwards, and the rest
//! is certainly *unwritten*.
//!
//! # A fork
//!
//! What a writer holds is the parent's: see `forked`.

mod accounting;
mod buffer;
mod closing;
mod fork_child;
mod rescue_list;

use crate::io::{Refused, Sink};
use crate::lock::buffered::Wait;
use crate::lock::recoverable::{Hold, Recoverable};
use crate::runtime::Runtime;
use crate::runtime::attachment::Attachment;
use crate::runtime::lifecycle::Gate;
use crate::runtime::registry::Remembering;
use crate::runtime::waits::{self, Awaiting};
use crate::status::{Error, Result, Status};
use crate::sync::{Arc, AtomicBool, Deadline, Mutex, Ordering, fork};
use crate::thread::this_thread;
use accounting::{Accepted, By, Flow};
use buffer::Core;
use fork_child::Inheritance;
pub(crate) use fork_child::forked;
use rescue_list::RescueEntry;
pub(crate) use rescue_list::{HARD_EXIT_KILLED, Toll, rescue_all};
use std::sync::Weak;
use std::time::Duration;

/// The buffer size when the host names none; CPython's since 3.14.
pub const DEFAULT_CAPACITY: usize = 128 * 1024;

/// How a writer is made.
#[derive(Default)]
pub struct WriterOptions {
    /// The name reports use.
    pub name: Box<str>,
    /// The size of the buffer; 0 takes [`DEFAULT_CAPACITY`].
    pub capacity: usize,
    /// Flush after a record that contains a newline.
    pub line_buffered: bool,
    /// Close the descriptor with the writer.
    pub owns_descriptor: bool,
    /// The child of a `fork` keeps what the buffer holds; else that is left to the parent.
    pub keeps_over_fork: bool,
}

/// How long a thread that waits for room sleeps before it looks whether the runtime froze: a wait on a
/// descriptor cannot be woken.
const TURN: Duration = Duration::from_millis(50);

/// A buffered writer.
pub struct Writer {
    name: Box<str>,
    capacity: usize,
    line_buffered: bool,
    owns_descriptor: bool,
    keeps_over_fork: bool,
    gate: Arc<Gate>,
    runtime: Weak<Runtime>,
    sink: Sink,
    core: Recoverable<Core>,
    accepted: Accepted,
    flow: Flow,
    /// Closed by its host: nothing is accepted any more.
    closed: AtomicBool,
    /// Why the last flush failed; reports quote it.
    trouble: Mutex<Option<String>>,
    /// What a `fork` left here.
    inheritance: Inheritance,
    /// By it the last word of the process finds the writer.
    rescue_entry: RescueEntry,
}

/// How far a flush came that does not wait.
pub(crate) enum Drained {
    /// Nothing is left in the buffer.
    Empty,
    /// The destination has no room.
    Full,
    /// The destination refused.
    Failed(Error),
}

impl Writer {
    /// Makes a writer and registers it for `runtime`'s flush phases.
    ///
    /// # Errors
    /// `Size` or `NoMemory` for a buffer that cannot be had; `Finalizing` once nobody may add a byte.
    pub fn new(runtime: &Arc<Runtime>, sink: Sink, options: WriterOptions) -> Result<Arc<Writer>> {
        let capacity = if options.capacity == 0 { DEFAULT_CAPACITY } else { options.capacity };
        if isize::try_from(capacity).is_err() {
            return Err(Status::Size.because(format!("a buffer of {capacity} bytes")));
        }
        let mut buffer = Vec::new();
        if buffer.try_reserve_exact(capacity).is_err() {
            return Err(Status::NoMemory.because("the buffer"));
        }
        let core = Core::new(buffer);
        let rescue_entry = RescueEntry::new()?;
        let writer = Arc::new(Writer {
            name: options.name,
            capacity,
            line_buffered: options.line_buffered,
            owns_descriptor: options.owns_descriptor,
            keeps_over_fork: options.keeps_over_fork,
            gate: runtime.gate().clone(),
            runtime: Arc::downgrade(runtime),
            sink,
            core: Recoverable::new(runtime.id(), core),
            accepted: Accepted::default(),
            flow: Flow::default(),
            closed: AtomicBool::new(false),
            trouble: Mutex::new(None),
            inheritance: Inheritance::default(),
            rescue_entry,
        });
        writer.rescue_entry.tie(&writer);
        runtime.admit_writer(&writer)?;
        Ok(writer)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its bytes go.
    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// What is waited for while its destination has no room.
    pub(crate) fn wanted_room(&self) -> String {
        let left = self.accepted.count().saturating_sub(self.flow.written());
        let plural = if left == 1 { "" } else { "s" };
        format!("room at the destination of writer '{}' for {left} byte{plural}", self.name)
    }

    /// Who holds its lock, for a report.
    pub(crate) fn lock_holder(&self) -> Option<crate::thread::record::OwnerRef> {
        this_thread::OWNERS.find(self.core.lock().holder()?)
    }

    /// Accepts `record` whole, waiting for room until `deadline`; or not at all.
    ///
    /// # Errors
    /// Nothing was accepted: `Finalizing` once the runtime is frozen, `Io`, `BadDescriptor`,
    /// `Timeout`, `NoMemory`, `State` after `close` or if it returns in the child of a `fork`, or what
    /// the lock gives.
    pub fn write(&self, record: &[u8], deadline: Deadline) -> Result<()> {
        let process = fork::generation();
        loop {
            let mut core = self.acquire(deadline)?;
            self.admits()?;
            if !self.has_room(&core, record) {
                match self.drain(&mut core, deadline) {
                    Drained::Failed(error) => return Err(error),
                    // What the destination took can be room enough.
                    Drained::Full if !self.has_room(&core, record) => {
                        self.wait_for_room(core, deadline)?;
                        if fork::generation() != process {
                            return Err(crate::io::forked(&self.name));
                        }
                        continue;
                    }
                    Drained::Full | Drained::Empty => {}
                }
            }
            return self.accept(core, record, deadline);
        }
    }

    /// Whether the buffer takes `record`: it fits, or the buffer is empty and grows for it.
    fn has_room(&self, core: &Core, record: &[u8]) -> bool {
        core.len() == 0 || record.len() <= self.capacity.saturating_sub(core.len())
    }

    /// There is room for `record`, or the buffer is empty and may grow for it.
    fn accept(&self, mut core: Hold<'_, Core>, record: &[u8], deadline: Deadline) -> Result<()> {
        // Before anything is offered: what a destination took cannot be taken back, so from there on
        // memory must not be what fails.
        {
            let _whole = self.whole_over_fork();
            core.reserve(record.len())?;
        }
        let mut rest = record;
        let mut refused = None;
        if record.len() > self.capacity && self.who_writes(deadline) == By::Caller {
            match self.offer(&mut core, Some(record), By::Caller) {
                Ok(taken) => rest = &record[taken..],
                Err(Refused::WouldBlock) => {}
                Err(other) => refused = Some(other.error(&self.name)),
            }
        }
        {
            let _whole = self.whole_over_fork();
            if refused.is_none() {
                if self.accepted.add(rest.len()) {
                    core.append(rest);
                } else {
                    refused = Some(self.late());
                }
            }
            core.trim(self.capacity);
        }
        if let Some(error) = refused {
            return Err(error);
        }
        if core.len() > self.capacity || (self.line_buffered && record.contains(&b'\n')) {
            // The record is accepted; trouble with an earlier one is the next flush's to tell.
            let _ = self.drain(&mut core, deadline);
        }
        Ok(())
    }

    /// Writes everything accepted before the call, waiting for room until `deadline`.
    ///
    /// # Errors
    /// The rest stays in the buffer: `Io`, `BadDescriptor`, `Timeout`, `Finalizing`, or what the
    /// lock gives.
    pub fn flush(&self, deadline: Deadline) -> Result<()> {
        self.flush_up_to(self.accepted.count(), deadline)
    }

    /// Writes until `target` bytes of the writer's life are written.
    fn flush_up_to(&self, target: u64, deadline: Deadline) -> Result<()> {
        loop {
            let mut core = self.acquire(deadline)?;
            if self.flow.written() >= target {
                return Ok(());
            }
            self.admits_flush()?;
            match self.drain(&mut core, deadline) {
                Drained::Empty => return Ok(()),
                Drained::Full => self.wait_for_room(core, deadline)?,
                Drained::Failed(error) => return Err(error),
            }
        }
    }

    /// Takes the lock for several operations of this thread, whose records then stay together.
    ///
    /// # Errors
    /// As [`write`](Writer::write).
    pub fn lock(&self, deadline: Deadline) -> Result<()> {
        let core = self.acquire(deadline)?;
        self.admits()?;
        if core.is_kept() {
            return Err(Status::Reentrant.error());
        }
        core.keep();
        Ok(())
    }

    /// Gives back what [`lock`](Writer::lock) took.
    ///
    /// # Errors
    /// `NotOwner`.
    pub fn unlock(&self) -> Result<()> {
        self.core.release_kept()
    }

    /// A `write` callback says how many bytes were taken, before its thread can be parked in it.
    ///
    /// # Errors
    /// `NotOwner` outside the callback; `Size` for more than was offered.
    pub fn publish_progress(&self, bytes: usize) -> Result<()> {
        if !self.core.lock().is_held_by(this_thread::id()?) {
            return Err(Status::NotOwner.error());
        }
        match u32::try_from(bytes) {
            Ok(count) if u64::from(count) <= self.flow.in_flight() => {
                self.core.lock().publish_progress(count);
                Ok(())
            }
            _ => Err(Status::Size.because(format!("progress of {bytes} bytes"))),
        }
    }

    /// Flushes, and takes the writer out of its runtime. After an error it is as it was, and can be
    /// closed again or abandoned.
    ///
    /// # Errors
    /// As [`flush`](Writer::flush); `State` if it is closed already.
    pub fn close(&self, deadline: Deadline) -> Result<()> {
        if self.is_closed() {
            return Err(Status::State.because(format!("writer '{}' is closed", self.name)));
        }
        if !self.accepted.is_sealed() {
            self.flush(deadline)?;
        }
        let core = self.acquire(deadline)?;
        if self.accepted.is_sealed() {
            // Finalized: the report has counted what is left.
            return self.retire(core, deadline);
        }
        if core.len() > 0 {
            drop(core);
            return Err(Status::State.because("another thread writes while this one closes"));
        }
        self.note_loss(self.flow.missing());
        self.retire(core, deadline)
    }

    /// Takes the writer out of its runtime whatever is left in it, and stores in `lost` how many bytes
    /// were not written, which the report will name.
    ///
    /// # Errors
    /// `OwnerBlocked` or `Timeout` while another thread is at work in it. If only the destination's own
    /// close failed, the writer is closed all the same.
    pub fn abandon(&self, deadline: Deadline, lost: &mut u64) -> Result<()> {
        let mut core = self.acquire(deadline)?;
        let _ = self.drain(&mut core, deadline);
        #[cfg(windows)]
        self.give_up_offer(&mut core);
        *lost = core.len() as u64 + self.flow.missing();
        self.note_loss(*lost);
        self.retire(core, deadline)
    }

    /// The report will name it, if bytes of it are missing.
    fn note_loss(&self, missing: u64) {
        if missing > 0
            && let Some(runtime) = self.runtime.upgrade()
        {
            runtime.abandon_writer(self);
        }
    }

    /// Takes a writer that nobody has used out of its runtime.
    pub(crate) fn disown(&self) {
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.forget_writer(self);
        }
    }

    /// Whether a raw write has not returned.
    pub(crate) fn is_under_way(&self) -> bool {
        self.flow.in_flight() > 0
    }

    /// Whether `close` or `abandon` succeeded.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether the calling thread may add a byte. Asked under the lock.
    fn admits(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Status::State.because(format!("writer '{}' is closed", self.name)));
        }
        self.admits_flush()
    }

    fn admits_flush(&self) -> Result<()> {
        if self.gate.is_shut() && !self.gate.is_finalizer(this_thread::id()?) {
            return Err(self.late());
        }
        if self.accepted.is_sealed() {
            return Err(self.late());
        }
        Ok(())
    }

    fn late(&self) -> Error {
        self.runtime.upgrade().map_or(Status::Finalizing.error(), |runtime| runtime.late())
    }

    fn acquire(&self, deadline: Deadline) -> Result<Hold<'_, Core>> {
        let rules = Remembering::of(&self.name);
        let mut core = self.core.acquire(&rules, deadline)?;
        let is_recovered = std::mem::take(&mut core.is_recovered);
        if !self.begin_after_fork(&mut core) && is_recovered {
            self.recover(&mut core, rules.former());
        }
        Ok(core)
    }

    /// Lets go of the lock, leaves the runtime, waits for room, and enters again.
    fn wait_for_room(&self, core: Hold<'_, Core>, deadline: Deadline) -> Result<()> {
        // A lock kept by the host stays held: the host wants its records together.
        drop(core);
        let _shield = crate::sys::cancellation::Shield::up();
        // A slow destination is not a dead one: in a callback of a finalization it is waited for as long as
        // that has time.
        let mut deadline = deadline.min(waits::bound());
        // On Windows it may be another thread's operation that is in the way: then it is the grace's.
        let grace = self.runtime.upgrade().filter(|_| self.is_under_way()).and_then(|runtime| {
            let waits = self.gate.is_shut() && self.gate.is_finalizer(this_thread::known_id()?);
            waits.then(|| runtime.grace().shared(1.0))
        });
        if let Some(grace) = &grace {
            deadline = deadline.min(grace.deadline);
        }
        let key = std::ptr::from_ref(self).addr();
        let awaiting = Awaiting::begin(key, None, || self.wanted_room());
        let answer = if self.gate.is_shut() && self.gate.is_finalizer(this_thread::id()?) {
            self.sink.wait(deadline)
        } else {
            Attachment::outside_while(&self.runtime, || self.wait_until_shut(deadline))
        };
        if let Some(awaiting) = awaiting.filter(|_| answer.is_err()) {
            awaiting.give_up();
        }
        answer
    }

    /// Waits for room until `deadline`, or until the runtime is frozen, which the caller will see.
    fn wait_until_shut(&self, deadline: Deadline) -> Result<()> {
        if self.sink.descriptor().is_none() {
            return self.sink.wait(deadline);
        }
        loop {
            match self.sink.wait(deadline.min(Deadline::after(TURN))) {
                Err(error) if error.status() == Status::Timeout && !deadline.passed() => {
                    if self.gate.is_shut() {
                        return Ok(());
                    }
                }
                answer => return answer,
            }
        }
    }
}
