//! The account of an end of Python.

use rtfinalize::capi::report::rt_report;
use rtfinalize::report::{TextStyle, to_text};
use rtfinalize::status::Status;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// What became of Python, its threads and its bytes.
///
/// It has the fields of [`rtfinalize::report::Report`]: `status`, `destinations` (bytes by file), `blocked` (what was
/// waited for), `leaks`, and so on. Its text is the report for a person; `to_json`, `to_html` and `to_trace` of
/// [`rtfinalize::report`] make its other forms.
#[derive(Clone, Debug)]
#[must_use = "it says whether all bytes arrived"]
pub struct Report {
    account: Arc<rtfinalize::report::Report>,
}

impl Report {
    /// Whether everything was done and every byte was written. If not, the text says what is missing.
    pub fn is_complete(&self) -> bool {
        self.account.status == Status::Ok
    }

    /// Why Python was left alone in memory: a thread may come back and touch what finalizing it would free. `None` if
    /// it was finalized.
    pub fn left_alone(&self) -> Option<&str> {
        // The name by which the C side enters it.
        self.account.leaks.iter().find(|leak| leak.name == "Python").map(|leak| &*leak.reason)
    }

    /// Whether Python can be started again in this process; see [`start_again`](crate::start_again).
    pub fn is_restartable(&self) -> bool {
        self.account.not_restartable.is_empty() && self.left_alone().is_none()
    }

    /// Takes a report that the C side has given out.
    pub(crate) fn of(handle: *mut rt_report) -> rtfinalize::status::Result<Report> {
        let account = rt_report::account(handle);
        rtfinalize::capi::report::rt_report_free(handle);
        Ok(Report { account: account? })
    }
}

impl Deref for Report {
    type Target = rtfinalize::report::Report;

    fn deref(&self) -> &rtfinalize::report::Report {
        &self.account
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_text(&self.account, TextStyle::plain()))
    }
}
