//! What a host can set: for a runtime's life, and for one finalization.

use crate::io::standard_error;
use crate::lock::grace::DEFAULT_GRACE_US;
use crate::phase::Phase;
use crate::report::Wish;
use crate::runtime::events::Listener;
use crate::sync::Deadline;
use std::time::Duration;

/// The action taken when something exceeds its time. The listener hears of it first, see [`crate::runtime::events`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Overrun {
    /// The library's own wait ends, and the report names what it was for.
    #[default]
    Skip = 1,
    /// Before the freeze, and until the total deadline, it is waited for as long again; else as
    /// `Skip`.
    Continue = 2,
    /// The process ends: [`crate::exit::hard_exit`].
    Exit = 3,
}

impl Overrun {
    /// The policy of this number.
    pub fn from_number(number: u32) -> Option<Overrun> {
        [Overrun::Skip, Overrun::Continue, Overrun::Exit].into_iter().find(|o| *o as u32 == number)
    }
}

/// The exit code of a process that an overrun ended, unless the host names another: CPython's for
/// output that was lost.
pub const DEFAULT_EXIT_CODE: i32 = 120;

/// Settings of a finalization. Times are microseconds; negative means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The time all phases together may take. The library's own waits end by then; a host's
    /// callback cannot be interrupted, but nothing further waits after it.
    pub deadline_us: i64,
    /// The time the finalizing thread gives, in all, to owners of locks that might still let go.
    pub grace_us: i64,
    /// What the library's own waits in each phase may take.
    pub budgets_us: [i64; Phase::ALL.len()],
    /// What a callback may take in each phase before it is reported as an overrun. Negative means no limit:
    /// the budgets of the library's waits bind no callback unless the host says so.
    pub callbacks_us: [i64; Phase::ALL.len()],
    /// How often the phases before `children` may go round.
    pub max_passes: u32,
    /// How long a wait without a deadline stays silent before a line on stderr names what it waits
    /// for. Later lines come at growing intervals. [`BY_DEFAULT`] until somebody sets it.
    pub notice_us: i64,
    /// How long a second thread that calls finalize waits for the first.
    pub join_us: i64,
    /// What is done about an overrun, unless the listener decides.
    pub overrun: Overrun,
    /// What the process ends with by [`Overrun::Exit`].
    pub exit_code: i32,
    /// Who hears of what happens.
    pub on_event: Option<Listener>,
    /// Where the report is written.
    pub report: Option<Wish>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deadline_us: -1,
            grace_us: DEFAULT_GRACE_US,
            budgets_us: Phase::ALL.map(Phase::default_budget_us),
            callbacks_us: [-1; Phase::ALL.len()],
            max_passes: 1000,
            notice_us: BY_DEFAULT,
            join_us: 10_000_000,
            overrun: Overrun::Skip,
            exit_code: DEFAULT_EXIT_CODE,
            on_event: None,
            report: None,
        }
    }
}

/// The lines about waits begin after 5 s if stderr is a terminal, or whoever runs the program bounds its end;
/// else nobody has asked for them, and there are none.
pub const BY_DEFAULT: i64 = i64::MIN;

impl Options {
    /// Whether somebody wants to hear of all that takes long. Else a thread is begun only for what may wait.
    pub fn is_asked_to_watch(&self) -> bool {
        self.notice_us >= 0
            || self.deadline_us >= 0
            || self.on_event.is_some()
            || self.overrun == Overrun::Exit
    }

    /// When the lines about waits begin; negative is never.
    pub fn notice_from_us(&self) -> i64 {
        match self.notice_us {
            BY_DEFAULT if self.deadline_us >= 0 || standard_error::is_terminal() => 5_000_000,
            notice_us => notice_us,
        }
    }

    /// How much of the deadline the phases before the early flush may use: what is left is for
    /// stopping the threads and flushing, for which no time would be the worst of outcomes.
    pub fn passes_deadline_us(&self) -> i64 {
        self.deadline_us - self.kept_us()
    }

    /// When a listener is asked about a callback before the freeze that is still running: while there
    /// is time to do something about it. A callback that ends its own wait when the library's end is
    /// not meant.
    pub fn callbacks_deadline_us(&self) -> i64 {
        self.deadline_us - self.kept_us() / 4 * 3
    }

    /// Until when the report may wait for whoever reads it, in a finalization that must end by `deadline`: for
    /// 1 s at most. What is late already gives it a moment; what ends the process at its deadline does not.
    pub(crate) fn report_deadline(&self, deadline: Deadline) -> Deadline {
        const MOST: Duration = Duration::from_secs(1);
        const LATE: Duration = Duration::from_millis(100);
        let left = match deadline.left() {
            None => MOST,
            // The watch ends it there: that must not be for want of a reader.
            Some(left) if self.overrun == Overrun::Exit => left - left.min(LATE),
            Some(left) => left.max(LATE),
        };
        Deadline::after(left.min(MOST))
    }

    fn kept_us(&self) -> i64 {
        const MOST_KEPT_US: i64 = 500_000;
        (self.deadline_us / 4).clamp(0, MOST_KEPT_US)
    }

    /// Sets the budget of `phase`, for the library's own waits and for the host's callbacks.
    pub fn set_budget(&mut self, phase: Phase, budget_us: i64) {
        self.budgets_us[phase.index()] = budget_us;
        self.callbacks_us[phase.index()] = budget_us;
    }

    /// The budget of `phase`.
    pub fn budget_us(&self, phase: Phase) -> i64 {
        self.budgets_us[phase.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn there_is_time_left_for_the_flush_when_the_waits_and_then_the_callbacks_are_out_of_it() {
        for (deadline_us, passes_us, callbacks_us) in [
            (-1, -1, -1),
            (0, 0, 0),
            (400_000, 300_000, 325_000),
            (1_000_000_000, 999_500_000, 999_625_000),
        ] {
            let options = Options { deadline_us, ..Options::default() };
            assert_eq!(options.passes_deadline_us(), passes_us, "{deadline_us}");
            assert_eq!(options.callbacks_deadline_us(), callbacks_us, "{deadline_us}");
        }
    }
}
