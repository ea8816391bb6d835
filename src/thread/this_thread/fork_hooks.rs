//! What is done around a `fork`, and in the child.

use super::{BLOCKS, Block, OWNERS, hooks, nobody_else_is_inside, others_are_inside};
use crate::sync::{activity, fork};
use crate::sys::cell::{cell, current_tid, is_fork_over_the_library};
use crate::thread::record::{Owner, OwnerRef};
#[cfg(unix)]
use std::sync::OnceLock;

/// Asks, once, to be told of every `fork`. Where there is none nobody calls the hooks.
#[cfg(not(unix))]
pub fn watch_forks() {
    let _: [extern "C" fn(); 3] = [fork_before, fork_in_parent, fork_in_child];
}

/// Asks, once, to be told of every `fork`.
#[cfg(unix)]
pub fn watch_forks() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: the hooks are functions of this library, which is never unloaded.
        unsafe {
            libc::pthread_atfork(Some(fork_before), Some(fork_in_parent), Some(fork_in_child));
        }
    });
}

extern "C" fn fork_before() {
    activity::begin_fork();
    fork::before(others_are_inside);
}

extern "C" fn fork_in_parent() {
    fork::after_in_parent();
    activity::end_fork();
    activity::do_deferred_if_not_busy();
}

extern "C" fn fork_in_child() {
    fork::after_in_child(is_fork_over_the_library(), nobody_else_is_inside, repair_after_fork);
    activity::end_fork();
    activity::do_deferred_if_not_busy();
}

/// In the child of a `fork`, where only the calling thread is left.
fn repair_after_fork() {
    crate::sync::forked();
    let block = cell().block.get().cast::<Block>();
    // SAFETY: as in `block`.
    let survivor = unsafe { block.as_ref() }.map(Block::owner);
    if let Some(hooks) = hooks() {
        (hooks.threads_are_lost)();
    }
    give_back_lost_blocks(block);
    OWNERS.forked(survivor, current_tid());
    if let Some(hooks) = hooks() {
        (hooks.forked)(survivor.map(Owner::id));
    }
}

/// The blocks of threads that were not copied serve others.
fn give_back_lost_blocks(own: *const Block) {
    for block in BLOCKS.iter().filter(|block| !std::ptr::eq(*block, own)) {
        let Some(owner) = block.owner.get() else { continue };
        block.clear();
        OWNERS.forked_away(owner);
        drop(OwnerRef::of_kept(owner));
        BLOCKS.give_back(block.index.get());
    }
}
