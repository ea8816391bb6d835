//! What the calling thread is in the middle of for runtimes: what it must not finalize meanwhile, and whose
//! finalization it makes.

use super::Runtime;
use crate::sync::Arc;
use crate::thread::host_call::on_duty;
use crate::thread::this_thread::duties::{self, Whom};

impl From<&Runtime> for Whom {
    fn from(runtime: &Runtime) -> Whom {
        Whom::of(runtime)
    }
}

impl From<&Arc<Runtime>> for Whom {
    fn from(runtime: &Arc<Runtime>) -> Whom {
        Whom::of(&**runtime)
    }
}

/// This thread finalizes `runtime` for the length of `work`.
pub(crate) fn finalizing<R>(runtime: &Runtime, work: impl FnOnce() -> R) -> R {
    on_duty(runtime.into(), true, work)
}

/// Whether this thread is in the middle of something that finalizing `runtime` would re-enter or
/// wait for: a callback or the finalization of it or of a descendant; a writer's or an operation's
/// callback.
pub(crate) fn forbids_finalizing(runtime: &Runtime) -> bool {
    // SAFETY: only a runtime is noted, and it is borrowed by the call that noted it, which has not returned.
    let busy = |whom: Whom| unsafe { whom.address::<Runtime>().as_ref() };
    duties::any(|whom, _| busy(whom).is_none_or(|busy| busy.is_within(runtime)))
}

/// The runtime in whose finalization the calling thread is inside a callback, of several the latest.
/// `None` while it makes the finalization's own steps.
///
/// The reference is good for the length of the calling operation, which the callback encloses.
pub(crate) fn finalized_by_caller<'a>() -> Option<&'a Runtime> {
    if duties::latest(|_| true)?.1 {
        return None;
    }
    let (whom, _) = duties::latest(|finalizes| finalizes)?;
    // SAFETY: as above; the finalization holds a reference to it.
    unsafe { whom.address::<Runtime>().as_ref() }
}
