//! Lines on stderr that say what a finalization waits for, at growing intervals (law 2).

use crate::sync::{Deadline, elapsed, now};
use crate::text::FixedText;
use std::time::{Duration, Instant};

/// The lines about one of the library's own waits.
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

    /// Says that `runtime` waits for `names`, to do `what`.
    pub(crate) fn say(&mut self, runtime: &str, what: &str, names: &[String]) {
        const SHOWN: usize = 8;
        let mut line = FixedText::<1024>::of(format_args!("rtfinalize: '{runtime}' has waited "));
        let waited = elapsed(self.since);
        match waited.as_secs() {
            0 => line.put(format_args!("{} ms for ", waited.as_millis())),
            seconds => line.put(format_args!("{seconds} s for ")),
        }
        // However long the names are, there is room for what they are to do.
        let room = line.len() + 900_usize.saturating_sub(what.len() + line.len());
        line.room_for(room, |line| {
            for (at, name) in names.iter().take(SHOWN).enumerate() {
                line.put(format_args!("{}{name}", if at == 0 { "" } else { ", " }));
            }
        });
        line.room_for(1024, |line| {
            if let more @ 1.. = names.len().saturating_sub(SHOWN) {
                line.put(format_args!(" and {more} more"));
            }
            if !what.is_empty() {
                line.put(format_args!(" {what}"));
            }
        });
        crate::io::tell(format_args!("{}", line.as_str()));
        self.interval = self.interval.saturating_mul(2);
        self.next = now().checked_add(self.interval);
    }
}
