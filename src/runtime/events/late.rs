//! What is waited for and has used up its time.

use super::{Subject, Who};
use crate::thread::record::Owner;

/// Something that is waited for and has used up its time.
pub(crate) struct Late {
    pub subject: Subject,
    pub name: String,
    /// The thread that keeps it.
    pub who: Who,
    /// In words, without the thread's whereabouts.
    pub what: String,
    /// What of it is as old as this, in place of the wait.
    pub age_us: Option<u64>,
}

impl Late {
    /// Something kept by the thread of `owner`.
    pub(crate) fn kept_by(
        owner: Option<&Owner>,
        subject: Subject,
        name: String,
        what: String,
    ) -> Late {
        let who = owner.map(Who::of).unwrap_or_default();
        Late { subject, name, who, what, age_us: None }
    }

    /// For a report: also where the thread is.
    pub(crate) fn describe(&self) -> String {
        match self.who.whereabouts.as_str() {
            "" => self.what.clone(),
            place => format!("{}, {place}", self.what),
        }
    }
}
