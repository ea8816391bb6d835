//! The flush phases: every registered writer.
//!
//! First each is flushed as far as goes without waiting, so that a stuck one costs the others
//! nothing. Only then the stuck ones are waited for, all of them together: those whose lock another
//! thread holds for what is left of the grace; those whose destination has no room, and whose writer
//! nobody else holds, for as long as the deadline and the phase's budget allow. The reader of a pipe
//! that pauses is slow, and not dead.

use crate::finalize::Finalization;
use crate::finalize::watchdog::Notice;
use crate::lock::grace::GraceSpan;
use crate::report::Blocked;
use crate::report::ledger::{Leak, LeakKind};
use crate::runtime::events::{Late, Subject};
use crate::runtime::writer::{Drained, Writer};
use crate::status::{Error, Status};
use crate::sync::{Arc, Deadline, elapsed, now};
use crate::sys::thread_activity;
use crate::thread::record::{Liveness, OwnerRef};
use std::time::{Duration, Instant};

/// While both a lock and a pipe are waited for, neither wait may last longer: one cannot sleep on
/// both at once.
const TURN: Duration = Duration::from_millis(10);

/// Between two looks at destinations of which none took anything.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the early flush waits for what is stuck.
const EARLY: Duration = Duration::from_millis(50);

/// A wait that ended well is in the report from this length on.
const WORTH_TELLING: Duration = Duration::from_millis(100);

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

    /// Whether another thread keeps it: by its lock, or on Windows by an operation on the same handle.
    fn is_kept(&self) -> bool {
        match self {
            Stuck::Full(writer) => writer.is_under_way(),
            Stuck::Locked(..) => true,
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
            Stuck::Full(_) => "no room at the destination in time".to_owned(),
            Stuck::Locked(writer, _) => {
                let tid = writer.lock_holder().map_or(0, |owner| owner.tid());
                thread_activity::append(format!("its lock is held by {}", holder(writer)), tid)
            }
        }
    }

    /// What was waited for.
    fn late(&self) -> Late {
        let name = self.writer().name().to_owned();
        match self {
            Stuck::Full(writer) => Late::kept_by(None, Subject::Writer, name, writer.wanted_room()),
            Stuck::Locked(writer, _) => {
                let what = format!("lock of writer '{name}', held by {}", holder(writer));
                let holder = writer.lock_holder();
                Late::kept_by(holder.as_deref(), Subject::WriterLock, name, what)
            }
        }
    }
}

/// A writer to flush, and what it was waited for.
struct Todo {
    writer: Arc<Writer>,
    awaited: Option<String>,
}

fn holder(writer: &Writer) -> String {
    let holder = writer.lock_holder().map(|owner| owner.describe());
    holder.unwrap_or_else(|| "nobody any more".to_owned())
}

impl Finalization<'_> {
    /// Flushes what goes, with a moment for what is stuck, a tenth of the grace at most: that is tried
    /// again when the locks of stopped threads can be taken over, and needs the rest then.
    pub(crate) fn flush_early(&mut self) {
        self.flush_writers(self.phase_deadline().min(Deadline::after(EARLY)), 0.1);
    }

    /// Flushes what goes at once of this runtime and its descendants: a child may wait for its own
    /// destinations, and must not keep back what others have for theirs.
    pub(crate) fn flush_before_children(&self) {
        let mut family = vec![self.runtime.clone()];
        while let Some(member) = family.pop() {
            let (writers, children) = {
                let registrations = member.registrations.lock();
                (registrations.writers.clone(), registrations.children.clone())
            };
            for writer in writers {
                // What is stuck is told by the flush that is its own.
                let _ = writer.drain_for_finalization(Deadline::after_us(0));
            }
            family.extend(children);
        }
    }

    /// Flushes all writers, waiting for the stuck ones. What stays is told.
    pub(crate) fn flush_frozen(&mut self) {
        let since = now();
        let has_time = !self.phase_deadline().passed();
        let has_grace = has_time && self.runtime.grace().left_us() > 0;
        // Without any time left a writer was only looked at.
        let waited_for = |stuck: &Stuck| if stuck.is_kept() { has_grace } else { has_time };
        let stuck = self.flush_writers(self.phase_deadline(), 1.0);
        let late: Vec<_> =
            stuck.iter().filter(|stuck| waited_for(stuck)).map(Stuck::late).collect();
        self.overran(&late, since, 1);
        for stuck in stuck {
            let outcome = match &stuck {
                Stuck::Full(_) => "still full".to_owned(),
                Stuck::Locked(_, error) => error.to_string(),
            };
            stuck.writer().note_trouble(stuck.why());
            if waited_for(&stuck) {
                self.notes.blocked(stuck.late().describe(), since, &outcome);
            }
        }
    }

    /// Flushes all writers until `deadline` and returns those that stay stuck, spending at most `share` of
    /// what is left of the grace.
    fn flush_writers(&mut self, deadline: Deadline, share: f64) -> Vec<Stuck> {
        let since = now();
        let writers = self.runtime.registrations.lock().writers.clone();
        let mut todo: Vec<_> =
            writers.into_iter().map(|writer| Todo { writer, awaited: None }).collect();
        let mut stuck: Vec<Stuck> = Vec::new();
        let mut notice = Notice::new(self.options.notice_us, since);
        // Billed from the first look that finds a thread in the way until none is, or it is spent.
        let mut grace: Option<GraceSpan> = None;
        let mut patience: Option<Deadline> = None;
        let mut first = true;
        loop {
            let work = self.notes.work_done();
            for Todo { writer, awaited } in todo.drain(..) {
                let wait = match patience {
                    Some(patience) if !first => self.turn(patience.min(notice.next()), &stuck),
                    _ => Deadline::after_us(0),
                };
                match self.flush_one(&writer, wait) {
                    Some(reason) => stuck.push(reason),
                    None => self.note_end(awaited, since),
                }
            }
            if !stuck.iter().any(Stuck::is_kept) {
                (grace, patience) = (None, None);
            } else if patience.is_none() {
                let span = self.runtime.grace().clone().shared(share);
                patience = Some(span.deadline.min(deadline));
                grace = Some(span);
            }
            grace = grace.filter(|span| !span.deadline.passed());
            let is_over = |stuck: &Stuck| match patience {
                Some(patience) if stuck.is_kept() => patience.passed(),
                _ => deadline.passed(),
            };
            if stuck.iter().all(is_over) {
                return stuck;
            }
            if notice.is_due() {
                let names: Vec<_> = stuck.iter().map(|stuck| stuck.late().describe()).collect();
                notice.say(self.runtime.name(), "", &names);
            }
            let until = patience.filter(|patience| !patience.passed()).unwrap_or(deadline);
            self.wait_for_room(&mut stuck, until.min(deadline).min(notice.next()), first);
            if !first && self.notes.work_done() == work {
                // What calls itself ready and takes nothing must not keep this thread busy.
                crate::sync::sleep(PAUSE.min(deadline.left().unwrap_or(PAUSE)));
            }
            first = false;
            let awaited = |stuck: &Stuck| match stuck {
                Stuck::Full(writer) => {
                    format!("room at the destination of writer '{}'", writer.name())
                }
                Stuck::Locked(writer, _) => format!("lock of writer '{}'", writer.name()),
            };
            todo.extend(stuck.drain(..).map(|stuck| Todo {
                awaited: Some(awaited(&stuck)),
                writer: stuck.writer().clone(),
            }));
        }
    }

    /// A writer is done with: if it was waited for, the report says for how long.
    fn note_end(&mut self, awaited: Option<String>, since: Instant) {
        if let Some(what) = awaited.filter(|_| elapsed(since) >= WORTH_TELLING) {
            self.notes.blocked(what, since, Blocked::CAME);
        }
    }

    /// How long a lock may be waited for in this round.
    fn turn(&self, deadline: Deadline, stuck: &[Stuck]) -> Deadline {
        let pipes = stuck.iter().any(|s| matches!(s, Stuck::Full(_)));
        if pipes { deadline.min(Deadline::after(TURN)) } else { deadline }
    }

    /// Sleeps until a full destination may have room. Locks are slept on by acquiring them. A destination
    /// whose own wait fails is not asked again in this phase.
    fn wait_for_room(&self, stuck: &mut Vec<Stuck>, deadline: Deadline, first: bool) {
        let locks = stuck.iter().any(|s| matches!(s, Stuck::Locked(..)));
        let full = stuck.iter().filter_map(|s| match s {
            Stuck::Full(writer) => Some(writer),
            Stuck::Locked(..) => None,
        });
        let fds: Vec<_> = full.clone().filter_map(|writer| writer.sink().descriptor()).collect();
        let callbacks = full.count() - fds.len();
        // The locks have not been waited for at all yet.
        if locks && first {
            return;
        }
        let alone = !locks && (callbacks == 0 || callbacks == 1 && fds.is_empty());
        let until = if alone { deadline } else { deadline.min(Deadline::after(TURN)) };
        if !fds.is_empty() {
            let _ = crate::io::wait_for_room(&fds, until);
            return;
        }
        stuck.retain(|stuck| {
            let Stuck::Full(writer) = stuck else { return true };
            match writer.sink().wait(until) {
                Err(error) if error.status() == Status::Callback => {
                    writer.note_trouble(error.to_string());
                    return false;
                }
                // A destination that cannot be waited for is asked again and again.
                Err(_) => crate::sync::sleep(TURN.min(until.left().unwrap_or(TURN))),
                Ok(()) => {}
            }
            true
        });
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
        let open = self.runtime.registrations.lock().writers.clone();
        for writer in &open {
            let account = writer.account();
            // On Windows a write may have returned to nobody yet.
            if account.unwritten > 0 || (cfg!(windows) && account.in_flight > 0) {
                let _ = self.flush_one(writer, Deadline::after_us(0));
            }
        }
        let (writers, abandoned) = {
            let mut registrations = self.runtime.registrations.lock();
            registrations.writers_over = true;
            (
                std::mem::take(&mut registrations.writers),
                std::mem::take(&mut registrations.abandoned),
            )
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
                    reason: thread_activity::append(
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
            if holder.id() == self.me.id() || holder.liveness() != Liveness::Running {
                return None;
            }
            if moment.passed() {
                return Some(holder);
            }
            crate::sync::sleep(Duration::from_millis(1));
        }
    }
}
