//! No wait in silence (law 2), and none past its time: a thread beside the finalization.
//!
//! The library's own waits look at the clock themselves. A host's callback cannot, and nothing at all
//! can that is stuck. So a thread stands beside the finalization: it says on stderr, at growing
//! intervals, which callback takes long; it tells the host's listener which one has used up its time;
//! and by [`Overrun::Exit`] it ends the process. It begins with the first callback, or with the
//! finalization if it may have to end the process, and a callback costs it no wake-up.
//!
//! # No lock, no memory
//!
//! The finalizing thread may be stuck anywhere: inside malloc, inside one of this library's sections.
//! So what the watch needs is written on a [board](Board) and read without a lock, it sleeps on
//! nothing that is shared, and unless a listener has to be called it allocates nothing.
//!
//! A listener is host code, which may allocate, and may be stuck behind the finalizing thread; and the
//! watch's own line may be, in its write to stderr. So with [`Overrun::Exit`] there is another thread, which
//! does neither: it ends the process a moment after the deadline unless the listener has decided otherwise
//! by then. And where the process may
//! have to end, one stands by whoever says its last word: see `late`.

pub(crate) mod host_words;
mod last_report;
mod late;
mod long;
mod notice;
pub(crate) mod number;
mod status_cell;

pub(crate) use notice::Notice;
pub(crate) use status_cell::Activity;

#[cfg(windows)]
use crate::io::worker;
use crate::phase::Phase;
use crate::runtime::events::{Event, Listener};
use crate::runtime::lifecycle::State;
use crate::runtime::options::{Options, Overrun};
use crate::runtime::waits::Ended;
use crate::runtime::{Runtime, Watchdog};
use crate::sync::helper::{self, Helper, Runs, Signal, Waker};
use crate::sync::{
    Arc, AtomicBool, AtomicU32, AtomicU64, Deadline, Mutex, Ordering, elapsed, fork, now, sleep,
};
use crate::sys::memory::spare;
use crate::thread::record::OwnerRef;
use host_words::Slip;
use last_report::LastReport;
use long::Long;
use status_cell::{Board, Entry, Name};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// A time that does not come.
const NEVER: u64 = u64::MAX;

/// What a callback may take that begins when the time is up already.
const LATE_US: u64 = 100_000;

/// How long after the deadline a listener may take to keep the process from its end.
const ANSWER_US: u64 = 1_000_000;

/// The finalizing thread's side.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    threads: Vec<Helper<Shared>>,
    /// Threads do not survive a fork.
    process: u32,
    wanted: bool,
    /// When a callback of this phase has used up its time.
    due_us: u64,
    /// When the last call that returned began, and the microseconds that it took.
    last: (Instant, u64),
    /// Callbacks that ran past their time, or of which the watch spoke.
    long: Vec<Long>,
    /// What callbacks waited for inside the library.
    waits: Vec<Ended>,
    /// Makes the writes that must end in time.
    #[cfg(windows)]
    workers: worker::Wanted,
}

pub(crate) struct Shared {
    began: Instant,
    runtime: Arc<Runtime>,
    /// The finalizing thread.
    me: OwnerRef,
    notice_us: u64,
    /// When the deadline passes.
    total_us: u64,
    overrun: Overrun,
    exit_code: i32,
    listener: Option<Listener>,
    /// If the process may end before the report is written.
    last_report: Option<LastReport>,
    board: Board,
    slip: Slip,
    /// When the watch must have looked at what is on the board.
    look_at: AtomicU64,
    /// Until when the watch sleeps.
    asleep_until: AtomicU64,
    /// Somebody calls the listener: never two at once.
    telling: AtomicBool,
    /// The listener wants the finalization to go on past the deadline.
    pardoned: AtomicBool,
    over: AtomicBool,
    /// Raised when the last word begins, and when the finalization is over.
    last_word: Signal,
    /// How many threads have come so far that they need no memory any more.
    ready: AtomicU32,
    /// There is a thread, or none is wanted.
    is_watched: AtomicBool,
    /// A thread that [`begin_late`] began, until the finalizing thread looks.
    late: Mutex<Option<Helper<Shared>>>,
}

/// Work that did not look as if it could wait is about to. Called on the finalizing thread, inside a callback.
pub(crate) fn begin_late(runtime: &Runtime) {
    let watchdog = runtime.watchdog.lock().clone();
    if let Some(watchdog) = watchdog {
        watchdog.begin_late();
    }
}

impl Watchdog for Shared {
    fn begin_late(self: Arc<Self>) {
        // Relaxed: this thread alone writes it.
        if !self.is_watched.swap(true, Ordering::Relaxed)
            && crate::sys::process_end::threads_can_begin_and_end()
        {
            let begun = Helper::start(c"rtfinalize-watch", Runs::OwnCode, &self, Shared::watch);
            number::begun(usize::from(begun.is_some()));
            *self.late.lock() = begun;
        }
    }
}

impl Watch {
    /// A watch over a finalization that begins now on the calling thread, `me`.
    pub(crate) fn new(runtime: &Arc<Runtime>, options: &Options, me: &OwnerRef) -> Watch {
        let may_exit = options.overrun == Overrun::Exit || options.on_event.is_some();
        let shared = Arc::new(Shared {
            began: now(),
            runtime: runtime.clone(),
            me: me.clone(),
            notice_us: u64::try_from(options.notice_us).unwrap_or(NEVER),
            total_us: u64::try_from(options.deadline_us).unwrap_or(NEVER),
            overrun: options.overrun,
            exit_code: options.exit_code,
            listener: options.on_event.clone(),
            last_report: options.report.clone().filter(|_| may_exit).map(LastReport::new),
            board: Board::default(),
            slip: Slip::default(),
            look_at: AtomicU64::new(NEVER),
            asleep_until: AtomicU64::new(NEVER),
            telling: AtomicBool::new(false),
            pardoned: AtomicBool::new(false),
            over: AtomicBool::new(false),
            last_word: Signal::new(),
            ready: AtomicU32::new(0),
            is_watched: AtomicBool::new(options.notice_us < 0 || options.on_event.is_some()),
            late: Mutex::new(None),
        });
        *runtime.watchdog.lock() = Some(shared.clone());
        let exits = options.overrun == Overrun::Exit;
        let bounds_callbacks = options.callbacks_us.iter().any(|budget_us| *budget_us >= 0);
        let wanted =
            exits || bounds_callbacks || options.notice_us >= 0 || shared.listener.is_some();
        let process = fork::generation();
        let (threads, long) = (Vec::new(), Vec::new());
        let mut watch = Watch {
            shared,
            threads,
            process,
            wanted,
            due_us: NEVER,
            last: (now(), 0),
            long,
            waits: Vec::new(),
            #[cfg(windows)]
            workers: worker::Wanted::new(),
        };
        watch.start_to_end();
        watch
    }

    /// Whether the process shall end at its deadline, and there is no thread to end it.
    pub(crate) fn cannot_end_the_process(&self) -> bool {
        let shall_end = self.shared.overrun == Overrun::Exit && self.shared.total_us != NEVER;
        shall_end && self.threads.is_empty()
    }

    /// If the process may have to end, the watch does not wait for the first callback.
    fn start_to_end(&mut self) {
        if self.shared.overrun == Overrun::Exit {
            self.start();
        }
    }

    /// A phase begins, in which callbacks may take until `due`.
    pub(crate) fn enter(&mut self, phase: Phase, due: Deadline) {
        self.due_us = due
            .instant()
            .map_or(NEVER, |at| micros(at.saturating_duration_since(self.shared.began)));
        self.shared.board.write(&self.own(phase));
    }

    /// The library's own work. The watch wakes up when a callback would be due: then none that begins
    /// before that must rouse it.
    fn own(&self, phase: Phase) -> Entry {
        Entry { due_us: self.due_us.min(self.shared.total_us), ..Entry::own(phase) }
    }

    /// Makes a call of the host's, under watch.
    pub(crate) fn during<R>(&mut self, phase: Phase, name: &str, call: impl FnOnce() -> R) -> R {
        self.doing(Activity::Callback, phase, name, call)
    }

    /// Makes a call of the host's that is not expected to wait: no thread is begun for it.
    pub(crate) fn briefly<R>(&mut self, phase: Phase, name: &str, call: impl FnOnce() -> R) -> R {
        self.come_back();
        self.watched(Activity::Callback, phase, name, call)
    }

    /// Does something of this kind, under watch.
    pub(crate) fn doing<R>(
        &mut self,
        activity: Activity,
        phase: Phase,
        name: &str,
        call: impl FnOnce() -> R,
    ) -> R {
        self.start();
        self.watched(activity, phase, name, call)
    }

    fn watched<R>(
        &mut self,
        activity: Activity,
        phase: Phase,
        name: &str,
        call: impl FnOnce() -> R,
    ) -> R {
        let shared = &self.shared;
        let since_us = shared.us();
        let due_us = match (activity, self.due_us.min(shared.total_us)) {
            (Activity::Callback, due_us) if due_us <= since_us => since_us.saturating_add(LATE_US),
            (Activity::Callback, due_us) => due_us,
            _ => NEVER,
        };
        shared.board.write(&Entry { activity, phase, since_us, due_us, name: Name::of(name) });
        let version = shared.board.version();
        let look_at = due_us.min(since_us.saturating_add(shared.notice_us));
        // SeqCst, both: the watch stores its plan and then reads this. Either it sees when it has to
        // look, or this sees that it sleeps for too long.
        shared.look_at.store(look_at, Ordering::SeqCst);
        if look_at < shared.asleep_until.load(Ordering::SeqCst)
            && let Some(watch) = self.threads.first()
        {
            watch.rouse();
        }
        let result = call();
        self.come_back();
        let shared = &self.shared;
        shared.look_at.store(NEVER, Ordering::SeqCst);
        shared.board.write(&self.own(phase));
        let took_us = shared.us() - since_us;
        let is_late = due_us != NEVER && took_us >= due_us - since_us;
        let said = shared.slip.about(version);
        let since = shared.began.checked_add(Duration::from_micros(since_us));
        self.last = (since.unwrap_or(shared.began), took_us);
        self.note(activity, name, is_late, said);
        if activity == Activity::Callback {
            self.wait_for_turn(false);
        }
        result
    }

    /// When the last call that returned began, and the microseconds that it took.
    pub(crate) fn last(&self) -> (Instant, u64) {
        self.last
    }

    /// Calls the listener with `event`, under watch.
    pub(crate) fn tell(&mut self, event: &Event) -> Option<Overrun> {
        let listener = self.shared.listener.clone()?;
        self.wait_for_turn(true);
        let shared = self.shared.clone();
        let answer = self.doing(Activity::Event, event.phase, event.kind.name(), || {
            shared.call(&listener, event)
        });
        self.shared.telling.store(false, Ordering::SeqCst);
        answer
    }

    /// The finalizing thread says the last word itself: somebody shall stand by it.
    pub(crate) fn rouse_for_the_last_word(&self) {
        self.shared.last_word.raise();
    }

    /// Whether somebody is told of events.
    pub(crate) fn has_listener(&self) -> bool {
        self.shared.listener.is_some()
    }

    /// Returns when nobody calls the listener; with `take` nobody else will.
    fn wait_for_turn(&self, take: bool) {
        let telling = &self.shared.telling;
        // SeqCst: the finalizing thread's half of the exchange in `Shared::ask`.
        let is_taken = || match take {
            true => telling.swap(true, Ordering::SeqCst),
            false => telling.load(Ordering::SeqCst),
        };
        if !is_taken() {
            return;
        }
        let notice_us = i64::try_from(self.shared.notice_us).unwrap_or(-1);
        let mut notice = Notice::new(notice_us, now());
        while is_taken() {
            if notice.is_due() {
                let name = self.shared.runtime.name();
                notice.say(name, "to return on the watch thread", &["the event callback".into()]);
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// After a call in which the process may have been forked. Threads were not copied: their handles must
    /// be neither joined nor detached, and there have to be others.
    fn come_back(&mut self) {
        self.threads.extend(self.shared.late.lock().take());
        if fork::generation() != self.process {
            number::ended(self.threads.len());
            self.threads.drain(..).for_each(std::mem::forget);
            self.process = fork::generation();
            self.shared.telling.store(false, Ordering::SeqCst);
            self.shared.ready.store(0, Ordering::Relaxed);
            self.shared.is_watched.store(!self.wanted, Ordering::Relaxed);
            self.start_to_end();
        }
    }

    fn start(&mut self) {
        self.come_back();
        if self.threads.is_empty() && self.wanted {
            let listens = self.shared.listener.is_some();
            let runs = if listens { Runs::HostCode } else { Runs::OwnCode };
            // For its lines on stderr, and for the last word.
            #[cfg(windows)]
            self.workers.keep(if listens || self.shared.overrun == Overrun::Exit {
                worker::KEPT
            } else {
                1
            });
            self.shared.is_watched.store(true, Ordering::Relaxed);
            self.spawn(c"rtfinalize-watch", runs, Shared::watch);
            let exits = self.shared.overrun == Overrun::Exit;
            if exits && self.shared.total_us != NEVER {
                self.spawn(c"rtfinalize-end", Runs::OwnCode, Shared::end_in_any_case);
            }
            // Last: it is sent away when nobody is left who may say the last word.
            if exits || (listens && self.shared.total_us != NEVER) {
                self.spawn(c"rtfinalize-last", Runs::OwnCode, Shared::bound_the_last_word);
            }
            // Without a thread to be had there is no watch; the finalization goes on.
            self.wanted = !self.threads.is_empty();
        }
    }

    fn spawn(&mut self, name: &'static CStr, runs: Runs, body: fn(&Shared, &Waker)) {
        if crate::sys::process_end::threads_can_begin_and_end() && spare(0).is_ok() {
            number::begun(1);
            let begun = Helper::start(name, runs, &self.shared, body);
            number::ended(usize::from(begun.is_none()));
            self.threads.extend(begun);
        }
        // A thread that begins may use the heap. Should this one be stuck in there before the other is
        // through, the process would have nobody to end it. (Should a third keep every thread from beginning
        // this one goes on.)
        if self.shared.overrun == Overrun::Exit {
            let all = self.threads.len();
            let begun = || self.shared.ready.load(Ordering::Relaxed) as usize >= all;
            helper::wait_until(Deadline::after(helper::BEGIN), begun);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.shared.runtime.watchdog.lock() = None;
        // SeqCst: stored before the wake-up, which a thread about to sleep does not miss.
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.last_word.raise();
        self.come_back();
        self.wait_for_turn(false);
        number::ended(self.threads.len());
        self.threads.drain(..).for_each(Helper::dismiss);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(NEVER)
}

impl Shared {
    /// The time since the finalization began.
    fn us(&self) -> u64 {
        micros(elapsed(self.began))
    }

    fn is_over(&self) -> bool {
        // On Windows the finalizing thread may have ended inside a callback.
        self.over.load(Ordering::SeqCst)
            || (cfg!(windows) && self.runtime.state() == State::Finalized)
    }

    fn sleep_until(&self, at_us: u64, waker: &Waker) {
        let at = self.began.checked_add(Duration::from_micros(at_us));
        waker.sleep(at.filter(|_| at_us != NEVER).map_or(Deadline::NEVER, Deadline::at));
    }

    /// The thread needs no memory any more.
    fn be_ready(&self) {
        self.ready.fetch_add(1, Ordering::Relaxed);
    }

    fn watch(&self, waker: &Waker) {
        self.be_ready();
        let (mut seen, mut told) = (NEVER, 0);
        let (mut say_us, mut pause_us, mut tell_us) = (NEVER, 0, NEVER);
        let mut is_settled = false;
        while !self.is_over() {
            let (version, entry) = self.board.read();
            if version != seen {
                (seen, told, pause_us, is_settled) = (version, 0, self.notice_us, false);
                let is_call = entry.activity == Activity::Callback;
                tell_us = if is_call { entry.due_us } else { NEVER };
                say_us = match entry.activity {
                    Activity::Callback | Activity::Event | Activity::Report => {
                        entry.since_us.saturating_add(pause_us)
                    }
                    // The library's own waits speak for themselves, and so does a child.
                    Activity::Own | Activity::Child => NEVER,
                };
            }
            let end_us = self.end_us();
            if self.us() >= tell_us.min(end_us) {
                told += 1;
                // Before the listener, which may lead the callback elsewhere: this is what took the time.
                let said = self.look_at_work(&entry, version, !is_settled);
                is_settled |= !said.is_empty();
                self.expired(&entry, version, told, &said);
                // Again when it has taken twice as long, and when the deadline passes.
                let now = self.us();
                let twice = now.saturating_mul(2).saturating_sub(entry.since_us);
                let total_us = if self.total_us > now { self.total_us } else { NEVER };
                let is_call = entry.activity == Activity::Callback;
                tell_us = if is_call { twice.min(total_us) } else { NEVER };
            }
            if self.us() >= say_us {
                self.say(&entry, &self.look_at_work(&entry, version, !is_settled));
                pause_us = pause_us.saturating_mul(2);
                say_us = self.us().saturating_add(pause_us);
            }
            let now = self.us();
            let mut until_us = tell_us.min(say_us).min(self.end_us());
            // One that begins meanwhile is not due before this, and need not rouse the watch.
            until_us = until_us.min(now.saturating_add(self.notice_us.max(1000)));
            if entry.due_us > now {
                until_us = until_us.min(entry.due_us);
            }
            // SeqCst, both: see `doing`.
            self.asleep_until.store(until_us, Ordering::SeqCst);
            let came = self.look_at.load(Ordering::SeqCst) < until_us;
            let must_look = came && self.board.version() != version;
            if !must_look && !self.is_over() {
                self.sleep_until(until_us, waker);
            }
        }
    }
}
