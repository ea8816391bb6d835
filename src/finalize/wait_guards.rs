//! The finalizing thread's side of guards: waiting until they are closed, holding new ones back over
//! the step to the freeze, and naming those that never close.

use crate::finalize::Finalization;
use crate::finalize::watchdog::Notice;
use crate::runtime::guards::table::OpenGuard;
use crate::sync::{Deadline, now};
use std::time::Duration;

/// The longest that the step to the freeze holds new guards back.
const WIDEST_WINDOW_MS: u64 = 64;

impl Finalization<'_> {
    /// The guards that pin the runtime. Those that the finalizing thread itself would have to close are
    /// not waited for: while it waits it closes none.
    fn guards_waited_for(&self) -> Vec<OpenGuard> {
        let pin = self.runtime.pin();
        pin.map(|pin| OpenGuard::all(pin, Some(self.me.id()))).unwrap_or_default()
    }

    /// Waits for the guards that are open now, but not for those opened meanwhile: threads that take
    /// turns could make it wait indefinitely. A holder may need a pending call made first.
    pub(crate) fn wait_for_guards(&mut self) {
        let Some(pin) = self.runtime.pin().filter(|_| !self.gave_up_on_guards) else { return };
        pin.anchor().watch(pin.life());
        let since = now();
        let mut limit = self.phase_deadline();
        let mut times = 0;
        let mut notice = Notice::new(self.options.notice_us, since);
        let mut waited_for = self.guards_waited_for();
        self.notes.work(waited_for.len() as u64);
        loop {
            waited_for.retain(OpenGuard::is_open);
            if waited_for.is_empty() {
                return;
            }
            if limit.passed() {
                let late: Vec<_> = waited_for.iter().map(OpenGuard::late).collect();
                times += 1;
                if let Some(again) = self.more_time(&late, since, times) {
                    limit = again;
                    continue;
                }
                if self.options.notice_us >= 0 {
                    let names: Vec<_> = late.iter().map(|guard| guard.describe()).collect();
                    let what = "to close, and does not wait any longer";
                    notice.say(self.runtime.name(), what, &names);
                }
                for guard in &late {
                    self.notes.blocked(guard.describe(), since, "not waited for any longer");
                }
                self.notes.cut_short();
                self.gave_up_on_guards = true;
                return;
            }
            let registrations = &self.runtime.registrations;
            self.runtime.gate().wait_until(limit.min(notice.next()), || {
                !waited_for.iter().any(OpenGuard::is_open)
                    || !registrations.lock().pending.is_empty()
            });
            let made = self.make_pending_calls();
            self.tell_news();
            waited_for.retain(OpenGuard::is_open);
            if made == 0 && notice.is_due() && !waited_for.is_empty() {
                let names: Vec<_> =
                    waited_for.iter().map(|guard| guard.late().describe()).collect();
                notice.say(self.runtime.name(), "to close", &names);
            }
        }
    }

    /// Holds new guards back and waits, a moment, until none is open. False if one stays open; new ones
    /// are held back all the same.
    ///
    /// The moment grows from try to try: threads whose guards overlap without end get no other.
    pub(crate) fn hold_guards(&mut self) -> bool {
        let Some(pin) = self.runtime.pin() else { return true };
        pin.anchor().decide(pin.life());
        let window = Duration::from_millis(self.guard_window_ms);
        self.guard_window_ms = (self.guard_window_ms * 2).min(WIDEST_WINDOW_MS);
        let until = Deadline::after(window).min(self.passes_deadline);
        let all_closed = !self.gave_up_on_guards
            && self.runtime.gate().wait_until(until, || self.guards_waited_for().is_empty());
        self.open_at_the_step = OpenGuard::all(pin, None);
        if all_closed {
            // From the moment when none was open, all but this thread's own are about to be refused:
            // such a guard stands in its slot until the thread that asks for it goes on.
            self.open_at_the_step.retain(|guard| guard.is_only_of(self.me.id()));
        }
        all_closed || self.gave_up_on_guards
    }

    /// There is more to do before the freeze: guards are granted again.
    pub(crate) fn let_guards(&self) {
        if let Some(pin) = self.runtime.pin() {
            pin.anchor().watch(pin.life());
        }
    }

    /// The step to the freeze is made: no guard is granted any more.
    pub(crate) fn refuse_guards(&self) {
        if let Some(pin) = self.runtime.pin() {
            pin.anchor().shut();
        }
    }

    /// What is still open after the freeze is as good as a runaway.
    pub(crate) fn note_leaked_guards(&mut self) {
        for guard in std::mem::take(&mut self.open_at_the_step) {
            if guard.is_open() {
                self.leaked_guards.push(guard.late().describe());
            }
        }
        if !self.leaked_guards.is_empty() {
            self.notes.incomplete();
        }
    }
}
