//! Lines on stderr that say what a finalization waits for, at growing intervals (law 2).

use crate::sync::{Deadline, elapsed, now};
use std::fmt;
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
        let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let waited = elapsed(self.since);
        let waited = match waited.as_secs() {
            0 => format!("{} ms", waited.as_millis()),
            seconds => format!("{seconds} s"),
        };
        let what = if what.is_empty() { String::new() } else { format!(" {what}") };
        crate::sink::tell(&format!(
            "rtfinalize: '{runtime}' has waited {waited} for {shown}{more}{what}"
        ));
        self.interval = self.interval.saturating_mul(2);
        self.next = now().checked_add(self.interval);
    }
}

/// A line put together without memory; what does not fit is cut off.
pub(super) struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    pub fn new() -> Line {
        Line { bytes: [0; 512], len: 0 }
    }

    pub fn put(&mut self, text: fmt::Arguments<'_>) {
        // It never fails.
        let _ = fmt::write(self, text);
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// Writes it to stderr. Allocates nothing; without room there it is lost.
    pub fn tell(mut self) {
        // No name in it makes two lines of one.
        self.bytes.iter_mut().filter(|byte| byte.is_ascii_control()).for_each(|byte| *byte = b'?');
        let end = self.len.min(self.bytes.len() - 1);
        self.bytes[end] = b'\n';
        crate::sink::tell_at_once(&self.bytes[..=end]);
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}
