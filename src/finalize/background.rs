//! Handlers that are started and not waited for: [`Work::Continue`](crate::runtime::handlers::Work).
//!
//! Each runs on a thread of its own, with signals blocked (all but those of its own faults), from its
//! turn on. To the runtime that thread is a stranger: it may attach as any other may, and is waited
//! for, stopped or a runaway only then. The thread keeps alive what the library has of the handler, and
//! nothing of the runtime; so neither its end nor that of the process has to wait. But as long as one
//! runs the host's code of this life is not over, and the runtime not restartable.

use crate::finalize::Finalization;
use crate::phase::Phase;
use crate::report::{Continuation, Continued, restart};
use crate::runtime::handlers::Handler;
use crate::sync::{Arc, Mutex, elapsed, fork, now};
use crate::sys::memory::{spare_for_thread, try_push};
use crate::sys::thread_exit::has_ended;
use crate::thread::host_call::Outcome;
use std::thread::JoinHandle;
use std::time::Instant;

/// A handler that was started, or could not be.
pub(crate) struct Started {
    id: u64,
    phase: Phase,
    name: Box<str>,
    since: Instant,
    end: Arc<Mutex<Option<End>>>,
    thread: Option<JoinHandle<()>>,
    /// The process that started it: its [`fork::generation`].
    process: u32,
}

impl Drop for Started {
    fn drop(&mut self) {
        // A fork does not copy the thread: there is nothing that could be detached.
        if self.process != fork::generation() {
            std::mem::forget(self.thread.take());
        }
    }
}

/// How it ended, and after how long.
enum End {
    Returned(Outcome, u64),
    NeverBegan(String),
}

/// Why one that another thread had begun is not here.
const LEFT_TO_PARENT: &str = "it was left to the process that this one was forked from";

fn us_since(since: Instant) -> u64 {
    u64::try_from(elapsed(since).as_micros()).unwrap_or(u64::MAX)
}

impl Finalization<'_> {
    /// Starts a handler, unless an earlier pass did.
    pub(crate) fn start_continued(&mut self, handler: &Arc<Handler>) {
        if self.continued.iter().any(|started| started.id == handler.id) {
            return;
        }
        let (since, end) = (now(), Arc::new(Mutex::new(None)));
        let note = || Started {
            id: handler.id,
            phase: handler.phase,
            name: handler.name.clone(),
            since,
            end: end.clone(),
            thread: None,
            process: fork::generation(),
        };
        if spare_for_thread(0).is_err() || !try_push(&mut self.continued, handler.name.len(), note)
        {
            // What no note could be taken of is not begun: it could be begun again.
            self.notes.skipped(&handler.name);
            return;
        }
        let (handler, ended) = (handler.clone(), end.clone());
        let run = move || {
            crate::sys::signals::seal_own_thread();
            let outcome = handler.call.call();
            *ended.lock() = Some(End::Returned(outcome, us_since(since)));
        };
        let builder = std::thread::Builder::new().name("rtfinalize-work".to_owned());
        match builder.spawn(run) {
            Ok(thread) => {
                if let Some(started) = self.continued.last_mut() {
                    started.thread = Some(thread);
                }
            }
            Err(error) => {
                *end.lock() = Some(End::NeverBegan(format!("no thread for it: {error}")));
            }
        }
    }

    /// Enters in the report what became of them by now.
    pub(crate) fn account_for_continued(&mut self) {
        for mut started in self.continued.drain(..) {
            let (phase, since) = (started.phase, started.since);
            let name = std::mem::take(&mut started.name);
            let is_here = started.process == fork::generation();
            // Before its note is looked for: a thread that has ended has taken it by then, if ever.
            let has_ended = is_here && started.thread.as_ref().is_some_and(has_ended);
            let (state, us, how) = match started.end.lock().take() {
                None if !is_here => (Continuation::NotStarted, 0, LEFT_TO_PARENT.to_owned()),
                None if has_ended => {
                    (Continuation::Failed, us_since(since), Outcome::EndedThread.text())
                }
                None => (Continuation::Running, us_since(since), String::new()),
                Some(End::NeverBegan(why)) => (Continuation::NotStarted, 0, why),
                Some(End::Returned(outcome, us)) if outcome.failed() => {
                    (Continuation::Failed, us, outcome.text())
                }
                Some(End::Returned(outcome, us)) => (Continuation::Ended, us, outcome.text()),
            };
            let start_us = self.notes.span(since).start_us;
            let report = &mut self.notes.report;
            if state == Continuation::Running {
                let why = restart::by_handler(&name);
                report.not_restartable.push(why);
            }
            report.continued.push(Continued { phase, name: name.into(), state, start_us, us, how });
        }
    }
}
