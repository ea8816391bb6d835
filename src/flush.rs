//! The flush phases: every registered writer, with one grace for all of them.
//!
//! First each is flushed as far as goes without waiting, so that a stuck one costs the others
//! nothing. Only then the grace is spent, on all stuck ones together.

use crate::event::{Late, Subject};
use crate::finalize::Finalization;
use crate::ledger::{Leak, LeakKind};
use crate::owner::{Fate, OwnerRef};
use crate::phase::Phase;
use crate::status::{Error, Status};
use crate::sync::{Arc, Deadline, now};
use crate::whereabouts;
use crate::writer::{Drained, Writer};
use std::time::Duration;

/// While both a lock and a pipe are waited for, neither wait may last longer: one cannot sleep on
/// both at once.
const TURN: Duration = Duration::from_millis(10);

/// Why a writer is not done yet.
enum Stuck {
    /// Its destination has no room.
    Full(Arc<Writer>),
    /// Somebody else holds its lock.
    Locked(Arc<Writer>, Error),
}

impl Stuck {
    fn writer(&self) -> &Arc<Writer> {
        match self {
            Stuck::Full(writer) | Stuck::Locked(writer, _) => writer,
        }
    }

    /// Why the writer's bytes stay where they are.
    fn why(&self) -> String {
        match self {
            Stuck::Full(writer) if writer.is_under_way() => {
                "a write that waits for another thread's operation on the same handle did not return \
                 within the grace"
                    .to_owned()
            }
            Stuck::Full(_) => "no room at the destination within the grace".to_owned(),
            Stuck::Locked(writer, _) => {
                let tid = writer.lock_holder().map_or(0, |owner| owner.tid());
                whereabouts::append(format!("its lock is held by {}", holder(writer)), tid)
            }
        }
    }

    /// What was waited for.
    fn late(&self) -> Late {
        let name = self.writer().name().to_owned();
        match self {
            Stuck::Full(_) => {
                let what = format!("room at the destination of writer '{name}'");
                Late::kept_by(None, Subject::Writer, name, what)
            }
            Stuck::Locked(writer, _) => {
                let what = format!("lock of writer '{name}', held by {}", holder(writer));
                let holder = writer.lock_holder();
                Late::kept_by(holder.as_deref(), Subject::WriterLock, name, what)
            }
        }
    }
}

fn holder(writer: &Writer) -> String {
    let holder = writer.lock_holder().map(|owner| owner.describe());
    holder.unwrap_or_else(|| "nobody any more".to_owned())
}

impl Finalization<'_> {
    /// Flushes all writers, spending at most `share` of what is left of the grace.
    pub(crate) fn flush_writers(&mut self, share: f64) {
        let grace = self.runtime.grace().clone();
        let span = grace.shared(share);
        let deadline = span.deadline.min(self.phase_deadline());
        let (since, may_wait) = (now(), !deadline.passed());
        let mut todo = self.runtime.books.lock().writers.clone();
        let mut stuck: Vec<Stuck> = Vec::new();
        let mut first = true;
        loop {
            for writer in todo.drain(..) {
                let wait = if first { Deadline::after_us(0) } else { self.turn(deadline, &stuck) };
                if let Some(reason) = self.flush_one(&writer, wait) {
                    stuck.push(reason);
                }
            }
            if stuck.is_empty() || deadline.passed() {
                break;
            }
            self.wait_for_room(&stuck, deadline, first);
            first = false;
            todo.extend(stuck.drain(..).map(|stuck| stuck.writer().clone()));
        }
        if self.notes.phase() == Phase::FlushEarly {
            return; // Nothing is lost yet: the flush after the freeze tries again, and tells.
        }
        if may_wait {
            let late: Vec<_> = stuck.iter().map(Stuck::late).collect();
            self.overran(&late, since, 1);
        }
        for stuck in stuck {
            let outcome = match &stuck {
                Stuck::Full(_) => "still full".to_owned(),
                Stuck::Locked(_, error) => error.to_string(),
            };
            stuck.writer().note_trouble(stuck.why());
            // Without any grace left a writer was only looked at.
            if may_wait {
                self.notes.blocked(stuck.late().describe(), since, &outcome);
            }
        }
    }

    /// How long a lock may be waited for in this round.
    fn turn(&self, deadline: Deadline, stuck: &[Stuck]) -> Deadline {
        let pipes = stuck.iter().any(|s| matches!(s, Stuck::Full(_)));
        if pipes { deadline.min(Deadline::after(TURN)) } else { deadline }
    }

    /// Sleeps until a full destination may have room. Locks are slept on by acquiring them.
    fn wait_for_room(&self, stuck: &[Stuck], deadline: Deadline, first: bool) {
        let locks = stuck.iter().any(|s| matches!(s, Stuck::Locked(..)));
        let full = stuck.iter().filter_map(|s| match s {
            Stuck::Full(writer) => Some(writer),
            Stuck::Locked(..) => None,
        });
        let fds: Vec<_> = full.clone().filter_map(|writer| writer.sink().descriptor()).collect();
        let callbacks = full.clone().count() > fds.len();
        let until = match (locks && first, locks || (callbacks && !fds.is_empty())) {
            // The locks have not been waited for at all yet.
            (true, _) => return,
            (_, true) => deadline.min(Deadline::after(TURN)),
            _ => deadline,
        };
        if fds.is_empty() {
            for writer in full {
                if writer.sink().wait(until).is_err() {
                    // A destination that cannot be waited for is asked again until the grace ends.
                    crate::sync::sleep(TURN.min(until.left().unwrap_or(TURN)));
                }
            }
        } else {
            let _ = crate::sink::wait_for_room(&fds, until);
        }
    }

    /// Flushes one writer without waiting for room. `Some`: it must be tried again.
    fn flush_one(&mut self, writer: &Arc<Writer>, lock_wait: Deadline) -> Option<Stuck> {
        let before = writer.account().written;
        let drained = writer.drain_for_finalization(lock_wait);
        self.notes.work(writer.account().written.saturating_sub(before));
        match drained {
            Ok(Drained::Empty) => None,
            Ok(Drained::Full) => Some(Stuck::Full(writer.clone())),
            // The destination refused; its error is in the account. Asking again changes nothing
            // now, and a later flush phase does ask again.
            Ok(Drained::Failed(_)) => None,
            Err(error) if matches!(error.status(), Status::Timeout | Status::OwnerBlocked) => {
                Some(Stuck::Locked(writer.clone(), error))
            }
            // A lock this thread holds itself: the host finalizes from inside a group of writes.
            Err(error) => {
                writer.note_trouble(error.to_string());
                None
            }
        }
    }

    /// The last word on every writer: what is left is tried once more, then it is sealed.
    pub(crate) fn seal_writers(&mut self) {
        let open = self.runtime.books.lock().writers.clone();
        for writer in &open {
            let account = writer.account();
            // On Windows a write may have returned to nobody yet.
            if account.unwritten > 0 || (cfg!(windows) && account.in_flight > 0) {
                let _ = self.flush_one(writer, Deadline::after_us(0));
            }
        }
        let (writers, abandoned) = {
            let mut books = self.runtime.books.lock();
            books.writers_over = true;
            (std::mem::take(&mut books.writers), std::mem::take(&mut books.abandoned))
        };
        if abandoned.iter().any(|d| d.unwritten + d.in_flight > 0) {
            self.notes.incomplete();
        }
        self.notes.report.destinations.extend(abandoned);
        for writer in &writers {
            writer.seal();
        }
        // Sealed, whoever holds a lock can only let go of it. One that was passing through does so in
        // a moment; one that is blocked does not.
        let moment = Deadline::after(TURN);
        for writer in writers {
            let held_by = self.holder_after(&writer, moment);
            // A write that returned meanwhile is not in flight any more, and nothing began.
            let account = writer.account();
            if account.unwritten + account.in_flight > 0 {
                self.notes.incomplete();
            }
            if let Some(holder) = held_by {
                // The memory goes when the holder comes back out of it: its call keeps it.
                self.runtime.enter_leak(Leak {
                    kind: LeakKind::Writer,
                    name: account.name.clone(),
                    bytes: account.unwritten + account.in_flight,
                    reason: whereabouts::append(
                        format!("its lock is held by {}", holder.describe()),
                        holder.tid(),
                    ),
                });
                self.tell_news();
            }
            self.notes.report.destinations.push(account);
        }
    }

    /// The other thread that still holds the writer's lock at `moment`.
    fn holder_after(&self, writer: &Writer, moment: Deadline) -> Option<OwnerRef> {
        loop {
            let holder = writer.lock_holder()?;
            if holder.id() == self.me.id() || holder.fate() != Fate::Running {
                return None;
            }
            if moment.passed() {
                return Some(holder);
            }
            crate::sync::sleep(Duration::from_millis(1));
        }
    }
}
