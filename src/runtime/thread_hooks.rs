//! What is done for all runtimes as a thread ends, and in the child of a `fork`.

use super::{attachment, guards, registry, writer};
use crate::thread::record::{OwnerId, OwnerRef};
use crate::thread::this_thread::{self, Hooks};

static HOOKS: Hooks = Hooks { thread_ends, threads_are_lost, forked };

/// Has it done from now on.
pub(crate) fn install() {
    this_thread::call_hooks(&HOOKS);
}

fn thread_ends(owner: &OwnerRef) {
    #[cfg(windows)]
    registry::finalizer_ends(owner.id());
    attachment::own::thread_ends();
    guards::table::thread_ends(owner);
}

fn threads_are_lost() {
    attachment::own::threads_are_lost();
    guards::table::threads_are_lost();
}

fn forked(survivor: Option<OwnerId>) {
    guards::table::forked(survivor);
    writer::forked(survivor);
    registry::forked(survivor);
}
