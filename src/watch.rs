//! No wait in silence (law 2): lines on stderr that say what a finalization waits for.
//!
//! Its own waits look at the clock themselves. A host's callback cannot, so a thread stands beside it: it
//! sleeps until the callback that runs has taken longer than the host wants to hear nothing, says its
//! name, and again at growing intervals. It starts with the first callback and ends with the
//! finalization; a callback costs it two short sections and no wake-up.

use crate::phase::Phase;
use crate::sync::{Arc, AtomicBool, Deadline, Mutex, Ordering, elapsed, now, park, wake_all};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The line on stderr for a wait without a deadline, at growing intervals (law 2).
pub(crate) struct Notice {
    since: Instant,
    next: Option<Instant>,
    interval: Duration,
}

impl Notice {
    pub(crate) fn new(first_us: i64, since: Instant) -> Notice {
        let interval = u64::try_from(first_us).map_or(Duration::MAX, Duration::from_micros);
        Notice { since, next: since.checked_add(interval), interval }
    }

    pub(crate) fn next(&self) -> Deadline {
        self.next.map_or(Deadline::NEVER, Deadline::at)
    }

    pub(crate) fn is_due(&self) -> bool {
        self.next().passed()
    }

    pub(crate) fn say(&mut self, runtime: &str, what: &str, names: &[String]) {
        let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        crate::sink::tell(&format!(
            "rtfinalize: '{runtime}' has waited {} s for {shown}{more} {what}",
            elapsed(self.since).as_secs()
        ));
        self.interval = self.interval.saturating_mul(2);
        self.next = now().checked_add(self.interval);
    }
}

/// The thread beside a finalization.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    runtime: Box<str>,
    notice_us: i64,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    call: Mutex<Call>,
    over: AtomicBool,
}

/// The callback that runs, if one does.
#[derive(Clone, Copy)]
struct Call {
    since: Option<Instant>,
    /// Tells one call from the next.
    number: u64,
    phase: Phase,
    name: Name,
}

/// The start of a name, kept without an allocation.
#[derive(Clone, Copy)]
struct Name {
    bytes: [u8; 64],
    len: usize,
}

impl Name {
    fn of(text: &str) -> Name {
        let mut name = Name { bytes: [0; 64], len: text.floor_char_boundary(64) };
        name.bytes[..name.len].copy_from_slice(&text.as_bytes()[..name.len]);
        name
    }

    fn describe(&self, phase: Phase) -> String {
        let text = String::from_utf8_lossy(&self.bytes[..self.len]);
        let name = if text.is_empty() { "without a name".to_owned() } else { format!("'{text}'") };
        format!("the callback {name} in the phase {}", phase.name())
    }
}

impl Watch {
    /// A watch that speaks up after `notice_us`; negative is never.
    pub(crate) fn new(runtime: &str, notice_us: i64) -> Watch {
        let call = Call { since: None, number: 0, phase: Phase::Guards, name: Name::of("") };
        let shared = Shared { call: Mutex::new(call), over: AtomicBool::new(false) };
        Watch { shared: Arc::new(shared), runtime: runtime.into(), notice_us, thread: None }
    }

    /// Makes a call of the host's, under watch.
    pub(crate) fn during<R>(&mut self, phase: Phase, name: &str, call: impl FnOnce() -> R) -> R {
        self.start();
        {
            let mut current = self.shared.call.lock();
            let number = current.number + 1;
            *current = Call { since: Some(now()), number, phase, name: Name::of(name) };
        }
        let result = call();
        self.shared.call.lock().since = None;
        result
    }

    fn start(&mut self) {
        if self.thread.is_some() || self.notice_us < 0 {
            return;
        }
        let (shared, runtime, notice_us) =
            (self.shared.clone(), self.runtime.clone(), self.notice_us);
        let watch = move || {
            crate::thread::seal_thread();
            shared.watch(&runtime, notice_us);
        };
        let builder = std::thread::Builder::new().name("rtfinalize-watch".to_owned());
        self.thread = builder.stack_size(64 * 1024).spawn(watch).ok();
        if self.thread.is_none() {
            // Without a thread to be had there is no watch; the finalization goes on.
            self.notice_us = -1;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // SeqCst: stored before the wake-up, read under the queue's lock before sleeping.
            self.shared.over.store(true, Ordering::SeqCst);
            wake_all(self.shared.key());
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn watch(&self, runtime: &str, notice_us: i64) {
        let mut notice = Notice::new(notice_us, now());
        let mut seen = 0;
        while !self.over.load(Ordering::SeqCst) {
            let call = *self.call.lock();
            let sleep_until = match call.since {
                Some(since) => {
                    if call.number != seen {
                        notice = Notice::new(notice_us, since);
                        seen = call.number;
                    }
                    if notice.is_due() {
                        notice.say(runtime, "to return", &[call.name.describe(call.phase)]);
                    }
                    notice.next()
                }
                // A callback that begins meanwhile is not due before this.
                None => Deadline::after_us(notice_us),
            };
            park(self.key(), || !self.over.load(Ordering::SeqCst), sleep_until);
        }
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
