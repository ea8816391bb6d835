//! The gate that keeps `fork` out while any thread is inside a mutex or a waiting queue.
//!
//! A child process has one thread. A mutex some other thread held at that moment would stay locked in it
//! for good, its contents half changed. So every section holds a [`Pass`], and the handler that runs
//! before `fork` closes the gate and waits until no other thread is inside:
//!
//! ```text
//!   section:  inside = 1, in the thread's own record     fork:  forking = 1
//!             light()                                           heavy()
//!             forking? then inside = 0, and wait                inside, of any other thread? then wait
//! ```
//!
//! At least one of the two sees the other (see [`super::fence`]). A thread that is inside takes further
//! passes without looking at the gate, so a fork never waits for a thread that waits for the fork. The
//! forking thread counts as inside until the fork is over: neither the hooks nor a signal handler over them
//! waits for the gate. Its own record is passed over, so that a handler may fork wherever it interrupted its
//! thread.
//!
//! A thread that has no record, because it is past its end, counts in a word that all such threads share.
//!
//! # What has to wait for the end of a section
//!
//! A signal handler may run over a section of its own thread. What it must not do there, for it would take
//! the same mutex again, it [defers](defer): the thread does it as it leaves the section. What takes memory
//! waits for the end of the interrupted call, or until that sleeps.

use super::{AtomicPtr, AtomicU32, AtomicUsize, Deadline, Ordering, fence};
use crate::sys::cell;
use std::time::Duration;

/// The address of the forking thread's cell while a fork is under way, else 0.
static FORKING: AtomicUsize = AtomicUsize::new(0);

/// How many threads without a record are inside.
static WITHOUT_RECORD: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// A number that is another one in the child of a fork. Code that reads it before and after a callback
/// knows whether the callback returned in another process. A process number would not do: two processes
/// of one line can have the same one, in different namespaces.
#[inline]
pub fn generation() -> u32 {
    // Relaxed: it changes while its process has one thread.
    GENERATION.load(Ordering::Relaxed)
}

/// Leave to be inside a section; given back on drop, on the thread that took it.
pub struct Pass {
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Takes a pass, after a fork that is under way.
#[inline]
pub fn enter() -> Pass {
    let depth = cell::sections();
    depth.set(depth.get() + 1);
    if depth.get() == 1 {
        // A signal handler that comes from here on finds the thread inside.
        fence::signal();
        go_inside();
    }
    Pass { _not_send: std::marker::PhantomData }
}

#[inline]
fn go_inside() {
    loop {
        count_inside(1);
        fence::light();
        // Relaxed: the fences order it, see the module's head. Acquire comes with the wait below.
        if FORKING.load(Ordering::Relaxed) == 0 {
            return;
        }
        count_inside(0);
        // Acquire: pairs with `open`, so a section that follows a fork sees its child's repairs.
        while FORKING.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
    }
}

/// The calling thread is inside, or not.
#[inline]
fn count_inside(inside: u32) {
    match cell::inside() {
        // Release: what the section wrote is whole before `before` finds the thread outside.
        Some(mine) => mine.store(inside, Ordering::Release),
        None if inside == 1 => {
            WITHOUT_RECORD.fetch_add(1, Ordering::SeqCst);
        }
        None => {
            let less = |count: u32| Some(count.saturating_sub(1));
            // It cannot fail. In the child of a fork the count began anew.
            let _ = WITHOUT_RECORD.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        }
    }
}

impl Drop for Pass {
    #[inline]
    fn drop(&mut self) {
        let depth = cell::sections();
        if depth.get() == 1 {
            count_inside(0);
            fence::signal();
        }
        depth.set(depth.get() - 1);
        if depth.get() == 0 {
            do_deferred();
        }
    }
}

/// What a signal handler leaves to the section that it interrupted.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Deferred {
    /// Wake everybody who waits for a lock.
    WakeWaiters = 1,
    /// Wake the finalizing threads, to look at the guards again.
    WakeFinalizers = 2,
    /// Set right what a `fork` left in this process, which is the child.
    RepairAfterFork = 4,
}

/// What is done for each, once it was deferred: code of the layers above.
static ACTIONS: [AtomicPtr<()>; 3] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 3];

impl Deferred {
    const ALL: [Deferred; 3] =
        [Deferred::RepairAfterFork, Deferred::WakeWaiters, Deferred::WakeFinalizers];

    fn action(self) -> &'static AtomicPtr<()> {
        &ACTIONS[(self as u32).trailing_zeros() as usize]
    }
}

/// Has this thread call `action`, which is the same for each of what is deferred, as it leaves the section that
/// the calling signal handler interrupted.
pub fn defer(what: Deferred, action: fn()) {
    // Relaxed: whoever finds the bit is this thread, or a handler over it.
    what.action().store(action as *mut (), Ordering::Relaxed);
    // Relaxed: only this thread and handlers over it look; in one step, for one may be over another.
    cell::deferred().fetch_or(what as u32, Ordering::Relaxed);
}

/// Does what was deferred, if the thread is inside no section and not in a handler over the library.
#[inline]
pub fn do_deferred() {
    if cell::deferred().load(Ordering::Relaxed) != 0 {
        do_all_deferred();
    }
}

#[cold]
fn do_all_deferred() {
    if cell::sections().get() > 0 || cell::is_interrupting() {
        return;
    }
    let all = cell::deferred().swap(0, Ordering::Relaxed);
    for what in Deferred::ALL.into_iter().filter(|what| all & *what as u32 != 0) {
        let action = what.action().load(Ordering::Relaxed);
        // SAFETY: `defer` stored a function before it set the bit.
        let action = unsafe { std::mem::transmute::<*mut (), fn()>(action) };
        action();
    }
}

/// How long a signal handler that forks over a section of its own thread waits for other threads: they may be
/// waiting for what that section has locked.
const PATIENCE_IN_A_SECTION: Duration = Duration::from_millis(100);

/// Before `fork`, on the forking thread: returns once no other thread is inside a section. The thread is
/// inside one from here on.
///
/// A signal handler may fork over a section of its own thread, and over another fork of it. It waits for the
/// others like any fork, over a section only for a moment: what they hold is locked for good in its child,
/// which then shall only end or call `exec`.
///
/// `others_are_inside`: whether another thread that has a record is inside a section.
pub fn before(others_are_inside: impl Fn() -> bool) {
    let depth = cell::sections();
    let me = cell::address();
    cell::forks().set(cell::forks().get() + 1);
    let in_a_section = depth.get() > cell::forks_counted_as_sections();
    let until = if in_a_section { Deadline::after(PATIENCE_IN_A_SECTION) } else { Deadline::NEVER };
    loop {
        // Acquire: pairs with `leave`.
        match FORKING.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => break,
            // The gate is this thread's own already.
            Err(holder) if holder == me => break,
            Err(_) if until.passed() => break,
            Err(_) => std::thread::yield_now(),
        }
    }
    fence::heavy();
    let own = u32::from(depth.get() > 0 && cell::inside().is_none());
    let others = || others_are_inside() || WITHOUT_RECORD.load(Ordering::SeqCst) > own;
    while others() && !until.passed() {
        std::thread::yield_now();
    }
    depth.set(depth.get() + 1);
}

/// Whether this thread was inside a section when it forked, or in the middle of another fork.
fn is_nested() -> bool {
    cell::sections().get() > 1
}

/// The forking thread leaves; with its last fork the gate opens, if it is its own.
fn leave() {
    cell::sections().set(cell::sections().get() - 1);
    let forks = cell::forks();
    forks.set(forks.get() - 1);
    if forks.get() == 0 {
        let me = cell::address();
        // Release: pairs with the Acquires above. Where its patience was over the gate is another thread's.
        let _ = FORKING.compare_exchange(me, 0, Ordering::Release, Ordering::Relaxed);
    }
}

/// After `fork`, in the parent.
pub fn after_in_parent() {
    leave();
}

/// After `fork`, in the child, which has no other thread. `repair` sets right what others left. It takes locks
/// and memory; so if a signal handler forked over the library at work it waits until that is over.
/// `nobody_else_is_inside` has the records of all other threads say so.
pub fn after_in_child(over_the_library: bool, nobody_else_is_inside: fn(), repair: fn()) {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // Others say that they are inside for a moment as they find the gate closed, and were copied so. Relaxed:
    // the process has one thread.
    let me = cell::address();
    FORKING.store(me, Ordering::Relaxed);
    nobody_else_is_inside();
    let own = cell::sections().get() > 1 && cell::inside().is_none();
    WITHOUT_RECORD.store(own.into(), Ordering::Relaxed);
    if over_the_library || is_nested() {
        defer(Deferred::RepairAfterFork, repair);
    } else {
        repair();
    }
    leave();
}
