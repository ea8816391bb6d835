//! What the report says of calls that have returned: those that took long, and what others waited for.

use super::host_words::Said;
use super::{Activity, Watch, status_cell};
use crate::runtime::waits::Ended;
use crate::sys::memory::try_push;
use std::time::Instant;

/// A callback that took long.
pub(crate) struct Long {
    /// Its name, and where in the host's code it was as the watch looked.
    pub(crate) what: String,
    /// When it began.
    pub(crate) since: Instant,
    pub(crate) took_us: u64,
    /// Whether it had used up its time.
    pub(crate) is_late: bool,
}

impl Watch {
    /// What the report says of the [last](Watch::last) call, if anything. `said` is there if the watch spoke of it.
    pub(super) fn note(
        &mut self,
        activity: Activity,
        name: &str,
        is_late: bool,
        said: Option<Said>,
    ) {
        let waits = self.shared.runtime.waits().take_ended();
        let is_told = said.is_some() && waits.is_empty();
        let said = said.unwrap_or_default();
        if is_late || is_told {
            let what = || format!("{}{said}", status_cell::Named(activity, name));
            let size = name.len() + said.len();
            let (since, took_us) = self.last;
            try_push(&mut self.long, size, || Long { what: what(), since, took_us, is_late });
        }
        // What the library's own waits in it were for.
        for wait in waits {
            let named = status_cell::Named(activity, name);
            let what = format!("{named}{said}, waiting for {}", wait.what);
            try_push(&mut self.waits, 0, || Ended { what, ..wait });
        }
    }

    /// Waits of callbacks that ended since this was last asked.
    pub(crate) fn take_waits(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.waits)
    }

    /// Callbacks that took long since this was last asked.
    pub(crate) fn take_long(&mut self) -> Vec<Long> {
        std::mem::take(&mut self.long)
    }
}
