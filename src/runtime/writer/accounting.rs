//! What is accepted, what is offered to the destination, and what came of it.

use super::buffer::{Core, Offer};
use super::{Drained, Writer};
use crate::io::Refused;
#[cfg(windows)]
use crate::io::worker::Crew;
use crate::report::Destination;
use crate::runtime::events::{Former, Recovery};
use crate::status::Result;
use crate::sync::{AtomicU64, Deadline, Mutex, MutexGuard, Ordering, fence, fork};

/// Who makes the raw writes of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The calling thread.
    Caller,
    /// A hand, so that the call returns in time. It takes nothing but from the buffer.
    #[cfg(windows)]
    Hand(Crew),
}

impl By {
    /// The most that is offered at once.
    const fn most(self) -> usize {
        match self {
            By::Caller => crate::io::RAW_WRITE_MAX,
            #[cfg(windows)]
            By::Hand(_) => crate::io::worker::MOST,
        }
    }

    /// How long a call of no time may be at it that never has to wait; `None` if that is not asked.
    fn moment(self) -> Option<Deadline> {
        match self {
            By::Caller => None,
            #[cfg(windows)]
            By::Hand(_) => Some(Deadline::after(crate::io::worker::MOMENT)),
        }
    }
}

/// Why some are missing.
const TORN: &str = "a thread ended while it changed the buffer, and nothing of that can be read";
const CUT_OFF: &str =
    "a thread ended in the middle of a write, and none knows what of it was taken";

/// The bytes a writer accepted over its life, with the seal: one word, so that the two cannot be at odds.
///
/// A record is counted in one step that fails once the seal is set. So the count taken with the seal is
/// final but for direct offers in flight, which the [`Flow`] settles.
#[derive(Default)]
pub(super) struct Accepted(AtomicU64);

const SEALED: u64 = 1 << 63;

impl Accepted {
    /// Counts the bytes of a record. False once the writer is sealed; but a record of which no bytes
    /// are left, for the destination took it whole, is not refused any more.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let add = |word: u64| (word & SEALED == 0 || bytes == 0).then_some(word + bytes as u64);
        // Relaxed: the word alone decides; what it counts is handed on by the writer's lock.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & !SEALED
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SEALED != 0
    }

    /// A direct offer begins: until it returns its record counts as accepted.
    fn begin(&self, offered: u64) {
        self.0.fetch_add(offered, Ordering::Relaxed);
    }

    /// It returned, and this much of it was not taken.
    fn take_back(&self, not_taken: u64) {
        self.0.fetch_sub(not_taken, Ordering::Relaxed);
    }

    /// In the child of a fork: a life begins with so many bytes.
    pub(super) fn begin_anew(&self, kept: u64) {
        self.0.store(kept, Ordering::Relaxed);
    }

    /// Returns whether it was sealed before.
    pub(super) fn seal(&self) -> bool {
        self.0.fetch_or(SEALED, Ordering::Relaxed) & SEALED != 0
    }
}

/// What of the accepted bytes went to the destination.
///
/// The numbers change under a mutex, so that who holds it reads numbers that agree. The last word of
/// the process reads them without it, and so in an order that never misses a byte: see [`settle`].
///
/// [`settle`]: Writer::settle
#[derive(Default)]
pub(super) struct Flow {
    agreement: Mutex<()>,
    written: Number,
    flushed: Number,
    recovered: Number,
    in_flight: Number,
    /// Of offers whose thread ended in the middle: nobody knows what was taken.
    cut_off: Number,
    /// Of buffers whose user ended in the middle of a change.
    torn: Number,
}

#[derive(Default)]
struct Number(AtomicU64);

impl Number {
    fn get(&self) -> u64 {
        // Acquire: who finds an offer settled finds what came of it.
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, value: u64) {
        // Release: as above.
        self.0.store(value, Ordering::Release);
    }

    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Release);
    }
}

impl Flow {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.agreement.lock()
    }

    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// In the child of a fork: nothing of what went before is this process's.
    pub(super) fn begin_anew(&self) {
        let Flow { agreement: _, written, flushed, recovered, in_flight, cut_off, torn } = self;
        for number in [written, flushed, recovered, in_flight, cut_off, torn] {
            number.set(0);
        }
    }

    /// Of the offer that is under way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }

    pub(super) fn cut_off(&self) -> u64 {
        self.cut_off.get()
    }

    /// What neither the destination nor the buffer has, for all that is known.
    pub(super) fn missing(&self) -> u64 {
        self.cut_off.get() + self.torn.get()
    }

    /// The last word has offered so much, and will not hear what was taken.
    #[cfg(windows)]
    pub(super) fn lose_sight_of(&self, offered: u64) {
        self.in_flight.set(offered);
    }

    /// The last word has written so much more: there is no offer any more but its own.
    pub(super) fn count_written(&self, more: u64) {
        self.written.add(more);
    }
}

impl Writer {
    /// The last owner will never run again. What it had offered to a callback is settled by what that
    /// published. Of a descriptor only the owner would have heard: none of it is offered again.
    #[cold]
    pub(super) fn recover(&self, core: &mut Core, former: Former) {
        let taken = self.core.lock().take_progress() as usize;
        if core.drop_if_torn() {
            let held = self.accepted.count().saturating_sub(self.flow.written());
            self.flow.torn.add(held.saturating_sub(self.flow.missing()));
        } else if self.sink.descriptor().is_none() {
            self.settle(core, taken);
        } else if !core.is_under_way() {
            self.cut_off(core);
        }
        let bytes = core.len() as u64;
        self.flow.recovered.add(bytes);
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.note_recovery(|| Recovery::of_writer(former, &self.name, bytes));
        }
    }

    /// Offers everything in the buffer, as long as the destination takes it without waiting; and not for
    /// much longer than until `deadline` where that may take time all the same.
    pub(super) fn drain(&self, core: &mut Core, deadline: Deadline) -> Drained {
        let by = self.who_writes(deadline);
        let moment = by.moment();
        while core.len() > 0 {
            match self.offer(core, None, by) {
                Ok(_) if moment.is_some_and(|it| it.passed() && deadline.passed()) => {
                    return if core.len() > 0 { Drained::Full } else { Drained::Empty };
                }
                Ok(_) => {}
                Err(Refused::WouldBlock) => return Drained::Full,
                #[cfg(windows)]
                Err(Refused::UnderWay) => return Drained::Full,
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
    pub(super) fn offer(
        &self,
        core: &mut Core,
        direct: Option<&[u8]>,
        by: By,
    ) -> std::result::Result<usize, Refused> {
        #[cfg(windows)]
        if core.is_under_way() {
            return self.outcome(core);
        }
        let available = direct.map_or(core.len(), <[u8]>::len);
        let offered = available.min(by.most());
        {
            let _agreed = self.flow.lock();
            self.flow.in_flight.set(offered as u64);
            // Finalization sets the seal under this mutex, the last word without: then either it sees
            // the offer, or this sees the seal.
            fence::light();
            if self.accepted.is_sealed() {
                self.flow.in_flight.set(0);
                return Err(Refused::Sealed);
            }
            if direct.is_some() {
                self.accepted.begin(offered as u64);
            }
        }
        let process = fork::generation();
        core.offer = match by {
            By::Caller if direct.is_some() => Offer::Direct,
            By::Caller => Offer::Buffered,
            // From the start: who takes the lock over from a thread that was killed in it asks the hand.
            #[cfg(windows)]
            By::Hand(_) => Offer::UnderWay,
        };
        let shield = crate::sys::cancellation::Shield::up();
        let data = direct.unwrap_or(&core.buffer[core.start..]);
        let data = &data[..offered];
        let answer = match by {
            By::Caller => self.sink.write(data),
            #[cfg(windows)]
            By::Hand(crew) => self.sink.write_in_time(crew, data),
        };
        drop(shield);
        #[cfg(windows)]
        if answer == Err(Refused::UnderWay) {
            return answer;
        }
        if fork::generation() != process {
            core.offer = Offer::None;
            return Err(Refused::Forked);
        }
        // A callback that ended its thread, or failed late, may have said what was taken before.
        let published = self.core.lock().take_progress() as usize;
        self.settle(core, answer.unwrap_or(published));
        if answer.is_err() && published > 0 { Ok(published) } else { answer }
    }

    /// Who makes the raw writes of a call that shall return by `deadline`: a hand, if there is one or the
    /// calling thread finalizes, and a raw write might keep it without a bound.
    #[cfg(windows)]
    pub(super) fn who_writes(&self, deadline: Deadline) -> By {
        let finalizes =
            crate::thread::this_thread::known_id().is_some_and(|me| self.gate.is_finalizer(me));
        if (finalizes || deadline != Deadline::NEVER) && self.sink.may_wait() {
            By::Hand(if finalizes { Crew::Common } else { Crew::Host })
        } else {
            By::Caller
        }
    }

    /// Elsewhere a raw write waits for room only, which is asked for first.
    #[cfg(not(windows))]
    pub(super) fn who_writes(&self, _: Deadline) -> By {
        By::Caller
    }

    /// Gives up on an offer that has not returned. What is not certain then stays in flight.
    #[cfg(windows)]
    pub(super) fn give_up_offer(&self, core: &mut Core) {
        if core.is_under_way()
            && let Some(taken) = self.sink.give_up()
        {
            self.settle(core, taken);
        }
    }

    /// What came of an offer that had not returned.
    #[cfg(windows)]
    fn outcome(&self, core: &mut Core) -> std::result::Result<usize, Refused> {
        match self.sink.outcome() {
            // It was given up for the seal, which settles it if that is certain.
            None => Err(Refused::Sealed),
            Some(Err(Refused::UnderWay)) => Err(Refused::UnderWay),
            Some(answer) => {
                self.settle(core, answer.unwrap_or(0));
                answer
            }
        }
    }

    /// Accounts for the end of an offer of which `taken` bytes were taken.
    fn settle(&self, core: &mut Core, taken: usize) {
        let _agreed = self.flow.lock();
        let offered = self.flow.in_flight.get();
        let taken_count = (taken as u64).min(offered);
        let offer = std::mem::replace(&mut core.offer, Offer::None);
        if offer != Offer::None {
            self.flow.written.add(taken_count);
        }
        match offer {
            Offer::None => {}
            Offer::Direct => self.accepted.take_back(offered - taken_count),
            // In the buffer.
            _ => {
                core.start += taken_count as usize;
                core.trim(self.capacity);
            }
        }
        // Last: until then what is not settled counts as in flight.
        self.flow.in_flight.set(0);
    }

    /// Accounts for an offer that nobody will hear of.
    fn cut_off(&self, core: &mut Core) {
        let _agreed = self.flow.lock();
        let offered = self.flow.in_flight.get();
        let offer = std::mem::replace(&mut core.offer, Offer::None);
        if offer != Offer::None {
            self.flow.cut_off.add(offered);
            #[cfg(windows)]
            self.sink.note_cut_off();
        }
        if offer == Offer::Buffered {
            core.start += offered as usize;
            core.trim(self.capacity);
        }
        // Last: as in `settle`.
        self.flow.in_flight.set(0);
    }

    /// Flushes without waiting for room, and for the lock only until `deadline`.
    pub(crate) fn drain_for_finalization(&self, deadline: Deadline) -> Result<Drained> {
        let mut core = self.acquire(deadline)?;
        // Only who holds the writer's lock changes what is written.
        let before = self.flow.written.get();
        let drained = self.drain(&mut core, Deadline::NEVER);
        // Less after a fork inside a callback.
        self.flow.flushed.add(self.flow.written.get().saturating_sub(before));
        Ok(drained)
    }

    /// For a process without memory: writes what is in the buffer, waiting for the lock and for room until `deadline`.
    /// Says whether nothing is left. Allocates nothing.
    pub(crate) fn write_out(&self, deadline: Deadline) -> bool {
        loop {
            let Ok(mut core) = self.acquire(deadline) else { return false };
            let by = self.who_writes(deadline);
            let refused = loop {
                if core.len() == 0 {
                    return true;
                }
                if let Err(refused) = self.offer(&mut core, None, by) {
                    break refused;
                }
            };
            drop(core);
            let is_full = refused == Refused::WouldBlock;
            #[cfg(windows)]
            let is_full = is_full || refused == Refused::UnderWay;
            if !is_full || deadline.passed() || self.sink.wait(deadline).is_err() {
                return false;
            }
        }
    }

    /// Accepts nothing and lets no raw write begin any more.
    pub(crate) fn seal(&self) {
        // What a hand has not begun to write will not be written; of the rest nobody knows.
        #[cfg(windows)]
        let given_up = self.sink.give_up();
        // Under the mutex: an offer is noted before the seal, or not made.
        let _agreed = self.flow.lock();
        self.accepted.seal();
        #[cfg(windows)]
        if let Some(taken) = given_up {
            self.flow.written.add((taken as u64).min(self.flow.in_flight.get()));
            self.flow.in_flight.set(0);
        }
    }

    /// Bytes by what became of them, as of now.
    pub fn account(&self) -> Destination {
        let trouble = self.trouble.lock().clone();
        let agreed = self.flow.lock();
        let accepted = self.accepted.count();
        let (written, cut_off) = (self.flow.written.get(), self.flow.cut_off.get());
        let in_flight = self.flow.in_flight.get() + cut_off;
        let (flushed, recovered) = (self.flow.flushed.get(), self.flow.recovered.get());
        drop(agreed);
        let left = accepted.saturating_sub(written);
        let missing = [(cut_off, CUT_OFF), (self.flow.torn.get(), TORN)];
        let why = missing.iter().find(|(bytes, _)| *bytes > 0).map(|(_, why)| (*why).to_owned());
        let trouble = trouble.or(why);
        Destination {
            name: self.name.to_string(),
            accepted,
            written,
            flushed,
            recovered,
            unwritten: left.saturating_sub(in_flight),
            in_flight: in_flight.min(left),
            left_to_parent: self.inheritance.left_to_parent(),
            reason: trouble.filter(|_| left > 0).unwrap_or_default(),
        }
    }

    /// Notes why bytes stay where they are, unless the destination said so already.
    pub(crate) fn note_trouble(&self, why: String) {
        self.trouble.lock().get_or_insert(why);
    }
}
