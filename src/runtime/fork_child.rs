//! Runtimes in the child of a `fork`, where one thread goes on alone.
//!
//! | in the parent | in the child |
//! |---|---|
//! | running | running |
//! | pre-finalizing, by a thread that was not copied | running again: who finalizes here begins anew |
//! | finalizing, by a thread that was not copied | finalized, incomplete: nobody can end what it began |
//! | in finalization by the thread that forked | the same; it goes on with its own copy |
//! | finalized | finalized |
//!
//! Threads that were not copied are gone, with their locks and guards, and are waited for no more.
//! Callbacks that the lost finalizer had begun or done are the parent's and do not run again; those
//! still registered are here, too. Buffered bytes are the parent's ([`crate::runtime::writer`]), and so are
//! in-flight operations ([`crate::runtime::overlapped`]).

use crate::phase::Phase;
use crate::report::Recorder;
use crate::report::ledger::{Leak, LeakKind};
use crate::runtime::Runtime;
use crate::runtime::lifecycle::State;
#[cfg(windows)]
use crate::sync::Deadline;
use crate::sync::{Arc, Ordering};
use crate::thread::record::{Liveness, OwnerId};
use crate::thread::this_thread::OWNERS;

/// In the child of a `fork`, whose one thread is `survivor` if the library knows it. `lives` are the
/// present lives of all runtimes.
pub(crate) fn forked(mut lives: Vec<Arc<Runtime>>, survivor: Option<OwnerId>) {
    // Children first: a parent hears of a child that ends here.
    lives.sort_by_key(|life| std::cmp::Reverse(life.ancestors().len()));
    for life in &lives {
        lose_threads(life);
        leave_operations(life);
        let finalizer = life.gate().finalizer();
        if finalizer.is_some() && finalizer == survivor {
            resume(life);
            continue;
        }
        match life.state() {
            State::Running | State::Finalized => {}
            State::PreFinalizing => run_again(life),
            State::Finalizing => cut_off(life, &FORKED),
        }
    }
}

/// The attachments of threads that are gone.
pub(crate) fn lose_threads(life: &Runtime) {
    // Takes those that watched the gate out of its queue, as `Owners::forked` does for locks.
    life.gate().announce();
    let threads = life.registrations.lock().threads.clone();
    for attachment in threads {
        if attachment.owner().liveness() == Liveness::Exited {
            attachment.thread_exited();
        }
    }
}

fn leave_operations(life: &Runtime) {
    let operations = life.registrations.lock().operations.clone();
    for operation in operations {
        operation.forked(|thread| OWNERS.find(thread).is_none());
    }
}

/// The surviving thread finalizes, and was in a callback when it forked: it decides nothing just now.
fn resume(life: &Runtime) {
    if let Some(pin) = life.pin() {
        pin.anchor().forked(pin.life());
    }
}

/// The finalizer was not copied, and nothing was torn down yet.
fn run_again(life: &Arc<Runtime>) {
    life.registrations.lock().handlers_over = None;
    if let Some(pin) = life.pin() {
        pin.anchor().begin(pin.life());
    }
    life.advance(State::Running);
}

/// On Windows: a thread is in the middle of finalizing, and ends: it calls this itself, inside a callback;
/// or it was killed as the process ended, and the last thread does. What it had locked is taken over from it
/// like from any thread.
#[cfg(windows)]
pub(crate) fn finalizer_ends(lives: Vec<Arc<Runtime>>, me: OwnerId) {
    for life in lives.iter().filter(|life| life.gate().finalizer() == Some(me)) {
        match life.state() {
            State::Running | State::Finalized => {}
            State::PreFinalizing => run_again(life),
            State::Finalizing => {
                let writers = life.registrations.lock().writers.clone();
                for writer in writers {
                    // What it cannot write now is in its account, which the report has.
                    let _ = writer.drain_for_finalization(Deadline::after_us(0));
                }
                let killed = crate::sys::process_end::under_way();
                cut_off(life, if killed { &KILLED } else { &ENDED });
            }
        }
    }
}

/// What a report says of a finalization that lost its thread.
struct Cut {
    what: &'static str,
    state_kept: &'static str,
    because: &'static str,
}

const FORKED: Cut = Cut {
    what: "the process was forked in the middle of it, and the thread that finalized was not copied",
    state_kept: "the thread that finalized was not copied by the fork",
    because: "the process was forked",
};

#[cfg(windows)]
const ENDED: Cut = Cut {
    what: "the thread that finalized ended in the middle of it, inside a callback",
    state_kept: "the thread that finalized ended",
    because: "the thread that finalized ended",
};

#[cfg(windows)]
const KILLED: Cut = Cut {
    what: "the process ended in the middle of it, and the thread that finalized was killed",
    state_kept: "the thread that finalized was killed",
    because: "the process ended",
};

/// The finalizer is gone, and had passed the point of no return: what it did not come to stays as it is,
/// and the report says so.
fn cut_off(life: &Arc<Runtime>, cut: &Cut) {
    if life.outcome().is_some() {
        // It had done everything but say so.
        life.advance(State::Finalized);
        return;
    }
    let mut notes = Recorder::begin(life.id(), life.name(), None);
    let (writers, threads, over) = {
        let mut registrations = life.registrations.lock();
        notes.report.leaks = std::mem::take(&mut registrations.leaks);
        notes.report.children = std::mem::take(&mut registrations.child_reports);
        notes.report.destinations = std::mem::take(&mut registrations.abandoned);
        let writers = std::mem::take(&mut registrations.writers);
        (writers, std::mem::take(&mut registrations.threads), registrations.handlers_over)
    };
    let phase = interrupted(over);
    notes.enter(phase, None);
    notes.failed("", cut.what.to_owned());
    notes.leave();
    for thread in threads.iter().filter(|thread| thread.has_state()) {
        notes.report.leaks.push(Leak {
            kind: LeakKind::ThreadState,
            name: thread.describe(),
            bytes: 0,
            reason: cut.state_kept.to_owned(),
        });
    }
    for writer in &writers {
        writer.seal();
        notes.report.destinations.push(writer.account());
    }
    let late_calls = life.late_calls().load(Ordering::Relaxed);
    notes.report.late_calls = late_calls;
    let because = format!("{} in the phase {} of its finalization", cut.because, phase.name());
    notes.report.not_restartable.push(because);
    let report = Arc::new(notes.finish());
    life.hand_to_parent(&report);
    life.mark_cut_off();
    life.end(report);
    life.leave_parent();
}

/// The phase that ran when `over` was the last whose handlers had all run, after the step to the freeze.
fn interrupted(over: Option<Phase>) -> Phase {
    let later = |phase: &Phase| *phase >= Phase::Freeze && Some(*phase) > over;
    Phase::ALL.into_iter().find(later).unwrap_or(Phase::ExitFunctions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_that_was_interrupted_follows_the_last_that_was_over() {
        assert_eq!(interrupted(None), Phase::Freeze);
        assert_eq!(interrupted(Some(Phase::FlushEarly)), Phase::Freeze);
        assert_eq!(interrupted(Some(Phase::Freeze)), Phase::FlushFrozen);
        assert_eq!(interrupted(Some(Phase::Reclaim)), Phase::ExitFunctions);
        assert_eq!(interrupted(Some(Phase::ExitFunctions)), Phase::ExitFunctions);
    }
}
