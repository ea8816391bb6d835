//! What the host hears while a finalization runs.
//!
//! A [`Listener`] is host code, called between the begin and the end of the finalization and never
//! after, with no lock held: on the finalizing thread, except for overruns of callbacks, which the
//! watch thread tells because the finalizing thread is inside the callback. What happens on other
//! threads is kept in the runtime's registrations until the finalizing thread's next step.

mod late;
mod recovery;

pub(crate) use late::Late;
pub(crate) use recovery::{Former, Recoveries, Recovery};

use crate::phase::Phase;
use crate::runtime::Runtime;
use crate::sys::thread_activity;
use crate::text::Shown;
use crate::thread::record::{Liveness, Owner};
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A phase begins.
    PhaseBegin = 1,
    /// A phase ends.
    PhaseEnd = 2,
    /// Something that is waited for has used up its time.
    Overrun = 3,
    /// A lock was taken over from an owner that will never run again.
    Recovery = 4,
    /// Something was entered in the ledger of deliberate leaks.
    Leak = 5,
    /// Calls were refused for coming too late.
    LateCall = 6,
}

impl Kind {
    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::PhaseBegin => "phase begin",
            Kind::PhaseEnd => "phase end",
            Kind::Overrun => "overrun",
            Kind::Recovery => "recovery",
            Kind::Leak => "leak",
            Kind::LateCall => "late call",
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Subject {
    /// The finalization itself: a phase of it, or calls that came too late for it.
    Runtime = 0,
    /// A callback of the host's, whichever kind: at-exit, handler, pending call, exit function, a
    /// state's deleter, a tracked object's, an event's.
    Callback = 1,
    /// A thread.
    Thread = 2,
    /// A guard.
    Guard = 3,
    /// A child runtime.
    Child = 4,
    /// A lock of the host's.
    Lock = 5,
    /// The lock of a writer.
    WriterLock = 6,
    /// The destination of a writer, or a writer's buffer.
    Writer = 7,
    /// An in-flight operation.
    Operation = 8,
    /// A thread's host state.
    ThreadState = 9,
    /// Tracked objects.
    Object = 10,
    /// Something of the host's own.
    Host = 11,
}

/// A text that C can read too.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(CString);

impl Text {
    /// As Rust has it.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("")
    }

    /// As C has it; valid as long as this is.
    pub fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr()
    }

    /// Words for a person, with no more in them than shows.
    pub(crate) fn shown(words: impl fmt::Display) -> Text {
        Shown(words).to_string().into()
    }

    /// With its NUL.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

impl From<String> for Text {
    /// Without NULs, which C could not tell from the end.
    fn from(mut text: String) -> Text {
        text.retain(|c| c != '\0');
        Text(CString::new(text).unwrap_or_default())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        text.to_owned().into()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A thread that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The system's number for it; 0 if there is none, or it has ended.
    pub tid: u32,
    /// Its name; empty if it has none.
    pub name: Text,
    /// What it is doing: `in read of descriptor 0 (pipe:[4711])`; empty where nobody knows.
    pub whereabouts: Text,
}

impl Who {
    /// The thread of `owner`, and what it is doing at this moment.
    pub(crate) fn of(owner: &Owner) -> Who {
        let tid = if owner.liveness() == Liveness::Exited { 0 } else { owner.tid() };
        Who {
            tid,
            name: owner.name().unwrap_or_default().into(),
            whereabouts: Text::shown(thread_activity::of(tid).unwrap_or_default()),
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// The phase that runs, or ran last.
    pub phase: Phase,
    /// What it is about.
    pub subject: Subject,
    /// Its name, as it was given; empty if it has none.
    pub name: Text,
    /// The whole of it, in words for a person: one line, in which nothing acts on a terminal.
    pub text: Text,
    /// The thread that has to do with it.
    pub who: Who,
    /// The number of the runtime.
    pub runtime_id: u32,
    /// The name of the runtime.
    pub runtime: Text,
    /// When it began, in microseconds since the finalization did.
    pub since_us: u64,
    /// How long it has lasted, in microseconds.
    pub lasted_us: u64,
    /// How often, or how many: passes, calls, recoveries.
    pub count: u64,
    /// The bytes concerned.
    pub bytes: u64,
}

impl Event {
    /// An event of a finalization of `runtime`, of which nothing more is said yet.
    pub(crate) fn of(runtime: &Runtime, kind: Kind, phase: Phase, subject: Subject) -> Event {
        Event {
            kind,
            phase,
            subject,
            name: Text::default(),
            text: Text::default(),
            who: Who::default(),
            runtime_id: runtime.id(),
            runtime: runtime.name().into(),
            since_us: 0,
            lasted_us: 0,
            count: 1,
            bytes: 0,
        }
    }
}

/// Who hears of events. What it answers counts for an overrun only: 0, or an [`Overrun`] to take in
/// place of the one in the options.
///
/// [`Overrun`]: crate::runtime::options::Overrun
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(&Event) -> c_int + Send + Sync>);

impl Listener {
    /// Calls `hear` for every event. If it panics, that is as if it answered 0.
    pub fn new(hear: impl Fn(&Event) -> c_int + Send + Sync + 'static) -> Listener {
        Listener(Arc::new(move |event| {
            catch_unwind(AssertUnwindSafe(|| hear(event))).unwrap_or_default()
        }))
    }

    /// As [`new`](Listener::new), where `hear` does not panic but may end its thread; so nothing on its
    /// frame needs dropping.
    pub(crate) fn from_c(hear: impl Fn(&Event) -> c_int + Send + Sync + 'static) -> Listener {
        Listener(Arc::new(hear))
    }

    /// Tells it.
    pub(crate) fn hear(&self, event: &Event) -> c_int {
        (self.0)(event)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl PartialEq for Listener {
    fn eq(&self, other: &Listener) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Listener {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finalize::finalize;
    use crate::status::Status;
    use crate::sync::{AtomicU32, Ordering};

    #[test]
    fn a_listener_that_panics_hurts_no_finalization_and_hears_of_all_phases() {
        let runtime = Runtime::new("app");
        let ends = Arc::new(AtomicU32::new(0));
        let count = ends.clone();
        let listener = Listener::new(move |event| {
            count.fetch_add((event.kind == Kind::PhaseEnd).into(), Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("a panic that prints nothing"))
        });
        runtime.configure(|options| options.on_event = Some(listener));
        assert_eq!(finalize(&runtime).unwrap().report().status, Status::Ok);
        assert_eq!(ends.load(Ordering::Relaxed) as usize, Phase::ALL.len());
    }

    #[test]
    fn a_text_for_c_ends_where_it_ends() {
        let text = Text::from("a\0b");
        assert_eq!(text.as_str(), "ab");
        assert_eq!(text.as_c_str(), c"ab");
    }
}
