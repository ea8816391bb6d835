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
//! At its end finalization seals every writer, whoever holds its lock. The flow (what is offered,
//! what was taken, the seal) has a small mutex of its own, held for a few instructions: an offer is
//! noted in it before the raw write begins, unless the seal is there already. So the account taken
//! with the seal is exact: bytes of an offer that has not returned are *in flight*, nothing can be
//! offered afterwards, and the rest is certainly *unwritten*.

use crate::freeze::{Gate, Position};
use crate::guarded::{Guarded, Hold};
use crate::report::Destination;
use crate::runtime::Runtime;
use crate::sink::{Refused, Sink};
use crate::status::{Error, Result, Status};
use crate::sync::{Arc, AtomicBool, AtomicU64, Deadline, Mutex, Ordering};
use crate::this_thread;
use crate::thread::Attachment;
use std::sync::Weak;

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
}

/// Where the bytes offered to the destination lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    None,
    /// At the start of the buffer: they are accepted already.
    Buffered,
    /// In the caller's memory: they are accepted as they are taken.
    Direct,
}

struct Core {
    /// `buffer[start..]` is accepted and not written.
    buffer: Vec<u8>,
    start: usize,
    offer: Offer,
}

impl Core {
    fn len(&self) -> usize {
        self.buffer.len() - self.start
    }
}

/// What went to the destination.
#[derive(Default)]
struct Flow {
    written: u64,
    flushed: u64,
    recovered: u64,
    in_flight: u64,
    /// No raw write begins any more.
    sealed: bool,
}

/// A buffered writer.
pub struct Writer {
    name: Box<str>,
    capacity: usize,
    line_buffered: bool,
    owns_descriptor: bool,
    gate: Arc<Gate>,
    runtime: Weak<Runtime>,
    sink: Sink,
    core: Guarded<Core>,
    /// Bytes whose `write` succeeded, over the writer's life.
    accepted: AtomicU64,
    flow: Mutex<Flow>,
    /// The flow's seal, for `accept`.
    sealed: AtomicBool,
    /// Closed by its host: nothing is accepted any more.
    closed: AtomicBool,
    /// Why the last flush failed; reports quote it.
    trouble: Mutex<Option<String>>,
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
            return Err(Status::NoMemory.because(format!("a buffer of {capacity} bytes")));
        }
        let core = Core { buffer, start: 0, offer: Offer::None };
        let writer = Arc::new(Writer {
            name: options.name,
            capacity,
            line_buffered: options.line_buffered,
            owns_descriptor: options.owns_descriptor,
            gate: runtime.gate().clone(),
            runtime: Arc::downgrade(runtime),
            sink,
            core: Guarded::new(runtime.id(), core),
            accepted: AtomicU64::new(0),
            flow: Mutex::new(Flow::default()),
            sealed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            trouble: Mutex::new(None),
        });
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

    /// Who holds its lock, for a report.
    pub(crate) fn lock_holder(&self) -> Option<Arc<crate::owner::Owner>> {
        this_thread::OWNERS.find(self.core.lock().holder()?)
    }

    /// Accepts `record` whole, waiting for room until `deadline`; or not at all.
    ///
    /// # Errors
    /// Nothing was accepted: `Finalizing` once the runtime is frozen, `Io`, `BadDescriptor`,
    /// `Timeout`, `NoMemory`, `State` after `close`, or what the lock gives.
    pub fn write(&self, record: &[u8], deadline: Deadline) -> Result<()> {
        loop {
            let mut core = self.acquire(deadline)?;
            self.admits()?;
            if core.len() == 0 || record.len() <= self.capacity - core.len().min(self.capacity) {
                return self.accept(core, record);
            }
            match self.drain(&mut core) {
                Drained::Empty => {}
                Drained::Full => self.wait_for_room(core, deadline)?,
                Drained::Failed(error) => return Err(error),
            }
        }
    }

    /// There is room for `record`, or the buffer is empty and may grow for it.
    fn accept(&self, mut core: Hold<'_, Core>, record: &[u8]) -> Result<()> {
        let mut rest = record;
        if record.len() > self.capacity {
            match self.offer(&mut core, Some(record)) {
                Ok(taken) => rest = &record[taken..],
                Err(Refused::WouldBlock) => {}
                Err(refused) => return Err(refused.error(&self.name)),
            }
        }
        core.compact();
        if core.buffer.try_reserve(rest.len()).is_err() {
            // What the destination took cannot be taken back; only so can a record be cut.
            return Err(Status::NoMemory.because(format!(
                "writer '{}': {} of {} bytes were written",
                self.name,
                record.len() - rest.len(),
                record.len()
            )));
        }
        // SeqCst, both: `seal` stores the seal and then reads the count. Either this thread sees the
        // seal, or the report counts the record.
        self.accepted.fetch_add(rest.len() as u64, Ordering::SeqCst);
        if self.sealed.load(Ordering::SeqCst) {
            self.accepted.fetch_sub(rest.len() as u64, Ordering::SeqCst);
            return Err(self.late());
        }
        core.buffer.extend_from_slice(rest);
        if core.len() > self.capacity || (self.line_buffered && record.contains(&b'\n')) {
            // The record is accepted; trouble with an earlier one is the next flush's to tell.
            let _ = self.drain(&mut core);
        }
        Ok(())
    }

    /// Writes everything accepted before the call, waiting for room until `deadline`.
    ///
    /// # Errors
    /// The rest stays in the buffer: `Io`, `BadDescriptor`, `Timeout`, `Finalizing`, or what the
    /// lock gives.
    pub fn flush(&self, deadline: Deadline) -> Result<()> {
        self.flush_up_to(self.accepted.load(Ordering::Relaxed), deadline)
    }

    /// Writes until `target` bytes of the writer's life are written.
    fn flush_up_to(&self, target: u64, deadline: Deadline) -> Result<()> {
        loop {
            let mut core = self.acquire(deadline)?;
            if self.flow.lock().written >= target {
                return Ok(());
            }
            self.admits_flush()?;
            match self.drain(&mut core) {
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
            Ok(count) if u64::from(count) <= self.flow.lock().in_flight => {
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
        if !self.sealed.load(Ordering::Relaxed) {
            self.flush(deadline)?;
        }
        let core = self.acquire(deadline)?;
        if self.sealed.load(Ordering::Relaxed) {
            // Finalized: the report has counted what is left.
            return self.retire(core);
        }
        if core.len() > 0 {
            drop(core);
            return Err(Status::State.because("another thread writes while this one closes"));
        }
        self.retire(core)
    }

    /// Takes the writer out of its runtime whatever is left in it; returns how many bytes were not
    /// written, which the report will name.
    ///
    /// # Errors
    /// `OwnerBlocked` or `Timeout` while another thread is at work in it.
    pub fn abandon(&self, deadline: Deadline) -> Result<u64> {
        let mut core = self.acquire(deadline)?;
        let _ = self.drain(&mut core);
        let lost = core.len() as u64;
        if lost > 0 && let Some(runtime) = self.runtime.upgrade() {
            runtime.books.lock().abandoned.push(self.account());
        }
        self.retire(core)?;
        Ok(lost)
    }

    /// Takes a writer that nobody has used out of its runtime.
    pub(crate) fn disown(&self) {
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.forget_writer(self);
        }
    }

    fn retire(&self, core: Hold<'_, Core>) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        self.seal();
        drop(core);
        self.disown();
        self.sink.close(self.owns_descriptor).map_err(|refused| refused.error(&self.name))
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
        if self.sealed.load(Ordering::Relaxed) {
            return Err(self.late());
        }
        Ok(())
    }

    fn late(&self) -> Error {
        self.runtime.upgrade().map_or(Status::Finalizing.error(), |runtime| runtime.late())
    }

    fn acquire(&self, deadline: Deadline) -> Result<Hold<'_, Core>> {
        let mut core = self.core.acquire(deadline)?;
        if core.recovered {
            self.recover(&mut core);
        }
        Ok(core)
    }

    /// The last owner will never run again: what it had offered is settled by what it published.
    #[cold]
    fn recover(&self, core: &mut Core) {
        let taken = self.core.lock().take_progress() as usize;
        self.settle(core, taken);
        self.flow.lock().recovered += core.len() as u64;
    }

    /// Offers everything in the buffer, as long as the destination takes it without waiting.
    fn drain(&self, core: &mut Core) -> Drained {
        while core.len() > 0 {
            match self.offer(core, None) {
                Ok(_) => {}
                Err(Refused::WouldBlock) => return Drained::Full,
                Err(refused) => {
                    let error = refused.error(&self.name);
                    *self.trouble.lock() = Some(error.to_string());
                    return Drained::Failed(error);
                }
            }
        }
        *self.trouble.lock() = None;
        Drained::Empty
    }

    /// Offers `direct`, or what is in the buffer, to the destination, once.
    ///
    /// The buffer stays in the core meanwhile: this thread may be parked inside a callback, and
    /// whoever takes the lock over finds everything there.
    fn offer(
        &self,
        core: &mut Core,
        direct: Option<&[u8]>,
    ) -> std::result::Result<usize, Refused> {
        let available = direct.map_or(core.len(), <[u8]>::len);
        let offered = available.min(crate::sink::RAW_WRITE_MAX);
        {
            let mut flow = self.flow.lock();
            if flow.sealed {
                return Err(Refused::Sealed);
            }
            flow.in_flight = offered as u64;
        }
        core.offer = if direct.is_some() { Offer::Direct } else { Offer::Buffered };
        if direct.is_some() {
            // Until it returns the record counts as accepted and in flight.
            self.accepted.fetch_add(offered as u64, Ordering::SeqCst);
        }
        let shield = crate::cancel::Shield::up();
        let data = direct.unwrap_or(&core.buffer[core.start..]);
        let answer = self.sink.write(&data[..offered]);
        drop(shield);
        // A callback that ended its thread, or failed late, may have said what was taken before.
        let published = self.core.lock().take_progress() as usize;
        self.settle(core, answer.unwrap_or(published));
        if answer.is_err() && published > 0 { Ok(published) } else { answer }
    }

    /// Accounts for the end of an offer of which `taken` bytes were taken.
    fn settle(&self, core: &mut Core, taken: usize) {
        let mut flow = self.flow.lock();
        let offered = std::mem::take(&mut flow.in_flight);
        let taken_count = (taken as u64).min(offered);
        match std::mem::replace(&mut core.offer, Offer::None) {
            Offer::None => return,
            Offer::Buffered => {
                core.start += taken_count as usize;
                if core.len() == 0 {
                    core.empty(self.capacity);
                }
            }
            Offer::Direct => {
                self.accepted.fetch_sub(offered - taken_count, Ordering::SeqCst);
            }
        }
        flow.written += taken_count;
    }

    /// Lets go of the lock, leaves the runtime, waits for room, and enters again.
    fn wait_for_room(&self, core: Hold<'_, Core>, deadline: Deadline) -> Result<()> {
        // A lock kept by the host stays held: the host wants its records together.
        drop(core);
        let inside = self
            .runtime
            .upgrade()
            .and_then(|runtime| Attachment::of_this_thread(&runtime))
            .filter(|attachment| attachment.position() == Position::Inside);
        if let Some(attachment) = &inside {
            attachment.leave()?;
        }
        let shield = crate::cancel::Shield::up();
        let waited = self.sink.wait(deadline);
        drop(shield);
        match inside {
            // Once the runtime is frozen this does not return, or returns the policy's error.
            Some(attachment) => attachment.enter().and(waited),
            None => waited,
        }
    }

    /// Flushes without waiting for room, and for the lock only until `deadline`.
    pub(crate) fn drain_for_finalization(&self, deadline: Deadline) -> Result<Drained> {
        let mut core = self.acquire(deadline)?;
        let before = self.flow.lock().written;
        let drained = self.drain(&mut core);
        let mut flow = self.flow.lock();
        flow.flushed += flow.written - before;
        Ok(drained)
    }

    /// Lets no raw write begin any more, and says what became of every byte.
    pub(crate) fn seal(&self) -> Destination {
        self.flow.lock().sealed = true;
        // SeqCst: see `accept`.
        self.sealed.store(true, Ordering::SeqCst);
        self.account()
    }

    /// Bytes by what became of them, as of now.
    pub fn account(&self) -> Destination {
        let trouble = self.trouble.lock().clone();
        let flow = self.flow.lock();
        let accepted = self.accepted.load(Ordering::SeqCst);
        // In flight bytes are accepted and not written; `accepted` was read last.
        let left = accepted.saturating_sub(flow.written);
        Destination {
            name: self.name.to_string(),
            accepted,
            written: flow.written,
            flushed: flow.flushed,
            recovered: flow.recovered,
            unwritten: left.saturating_sub(flow.in_flight),
            in_flight: flow.in_flight.min(left),
            reason: trouble.filter(|_| left > 0).unwrap_or_default(),
        }
    }

    /// Notes why bytes stay where they are, unless the destination said so already.
    pub(crate) fn note_trouble(&self, why: String) {
        self.trouble.lock().get_or_insert(why);
    }
}

impl Core {
    /// Moves what is left to the front.
    fn compact(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    /// Nothing is left: memory taken for a record larger than the buffer goes back.
    fn empty(&mut self, capacity: usize) {
        self.buffer.clear();
        self.start = 0;
        if self.buffer.capacity() > capacity {
            self.buffer.shrink_to(capacity);
        }
    }
}
