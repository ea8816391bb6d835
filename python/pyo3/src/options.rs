//! What a program can set for the end of Python.

use crate::interpreter::on_event;
use rtfinalize::capi::options::rt_finalize_options;
use rtfinalize::runtime::options::Overrun;
use std::time::Duration;

/// How Python is to end. The environment's `RTFINALIZE_DEADLINE` and `RTFINALIZE_GRACE` win over it.
///
/// ```
/// use rtfinalize_pyo3::Options;
/// use std::time::Duration;
///
/// let options = Options::new().deadline(Duration::from_secs(5)).exit_at_deadline(120);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    deadline: Option<Duration>,
    grace: Option<Duration>,
    notice: Option<Duration>,
    exits_with: Option<u8>,
}

impl Options {
    /// No deadline, a grace of one second, and lines about waits after five seconds if stderr is a terminal.
    pub const fn new() -> Options {
        Options { deadline: None, grace: None, notice: None, exits_with: None }
    }

    /// The time for all of the end. Then Python code that still runs is interrupted, as by Ctrl-C, if Python's main
    /// thread is the one that ends it; threads are not waited for any longer. Code in C cannot be interrupted.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Options {
        self.deadline = Some(deadline);
        self
    }

    /// The time given, in all, to threads that have a file's lock and may still give it back.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Options {
        self.grace = Some(grace);
        self
    }

    /// How long something may be waited for before a line on stderr names it.
    #[must_use]
    pub const fn notice(mut self, notice: Duration) -> Options {
        self.notice = Some(notice);
        self
    }

    /// At the deadline the process ends, with this exit code, if Python has not ended by then: what can be written is
    /// written, and nothing can keep it. 0 stands for success, so it counts as 120, CPython's own code for lost output.
    #[must_use]
    pub const fn exit_at_deadline(mut self, code: u8) -> Options {
        self.exits_with = Some(code);
        self
    }

    pub(crate) fn for_c(self) -> rt_finalize_options {
        rt_finalize_options {
            struct_size: size_of::<rt_finalize_options>(),
            deadline_us: microseconds(self.deadline),
            grace_us: microseconds(self.grace),
            notice_us: microseconds(self.notice),
            join_us: 0,
            max_passes: 0,
            overrun: self.exits_with.map_or(0, |_| Overrun::Exit as u32),
            exit_code: self.exits_with.unwrap_or_default().into(),
            reserved: 0,
            on_event: Some(on_event),
            event_arg: std::ptr::null_mut(),
        }
    }
}

/// 0 stands for the default.
fn microseconds(time: Option<Duration>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_zero_is_not_the_default() {
        let options = Options::new().deadline(Duration::ZERO).grace(Duration::MAX).for_c();
        assert_eq!((options.deadline_us, options.grace_us, options.notice_us), (1, i64::MAX, 0));
    }
}
