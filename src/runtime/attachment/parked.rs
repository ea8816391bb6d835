//! Threads that are parked for good, and whoever waits for one.
//!
//! A thread that joins a parked thread, or wants a mutex that it has, never gets on. The finalization may be over by
//! then, with its watch gone, so it is the parked thread itself that looks: where notices are wanted it wakes up
//! after the time of the first notice, then at growing intervals, and names whoever waits for it (law 2).

use crate::runtime::attachment::own;
use crate::runtime::lifecycle::Position;
use crate::sync::{AtomicI64, Ordering};
use crate::sys::signals::seal_thread;
use crate::thread::this_thread::{self, OWNERS};

/// When the notices of the last finalization that began were to begin; negative is never.
static NOTICE_US: AtomicI64 = AtomicI64::new(-1);

/// A finalization begins whose notices begin after this time.
pub(crate) fn notices_begin_after(notice_us: i64) {
    // Relaxed: a thread that parks and does not see it yet looks for nobody, as if it had parked before.
    NOTICE_US.store(notice_us, Ordering::Relaxed);
}

/// Parks the calling thread for good: it never returns, its stack stays, nothing is unwound.
///
/// Order matters: first nothing may run on this thread any more, then the locks it holds may be taken
/// from it, then the freezers may count it as stopped.
pub(crate) fn park_for_good() -> ! {
    seal_thread();
    // A signal handler may have been over a wait: nobody shall wake this thread in another's place.
    crate::sync::leave_queues();
    // One whose last exit hook has run holds nothing that could be taken from it.
    let owner = this_thread::owner().ok();
    if let Some(owner) = &owner {
        OWNERS.park_for_good(owner);
    }
    // Everywhere: no runtime may wait for it.
    let _ = own::attachments(|list| {
        for attachment in list {
            attachment.depart(Position::Parked);
        }
    });
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    waiters::name_them(owner.as_deref(), NOTICE_US.load(Ordering::Relaxed));
    crate::sync::sleep_indefinitely("the last thread was parked")
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod waiters {
    use crate::io::tell;
    use crate::sync::sleep;
    use crate::sys::cell::current_tid;
    use crate::sys::thread_activity::{self, Sleep};
    use crate::text::FixedText;
    use crate::thread::record::Owner;
    use std::fmt::Write;
    use std::time::Duration;

    /// The longest interval between two looks.
    const LONGEST: Duration = Duration::from_secs(60);

    /// So many waiters are named, each once.
    const NAMED: usize = 8;

    /// Names on stderr the threads that wait for the calling one, from `notice_us` on. Returns at once if notices
    /// are not wanted, else when enough has been said. It needs no memory: there may be none.
    pub fn name_them(owner: Option<&Owner>, notice_us: i64) {
        let Ok(mut interval) = u64::try_from(notice_us).map(Duration::from_micros) else {
            return;
        };
        let me = current_tid();
        let (mut named, mut count) = ([0; NAMED], 0);
        while count < NAMED {
            sleep(interval);
            interval = interval.saturating_mul(2).min(LONGEST.max(interval));
            thread_activity::each_thread(|waiter| {
                if waiter != me
                    && count < NAMED
                    && !named[..count].contains(&waiter)
                    && let Some(wait) =
                        thread_activity::sleep_of(waiter).and_then(|at| wait_for(me, at))
                {
                    say(waiter, wait, owner, me);
                    named[count] = waiter;
                    count += 1;
                }
            });
        }
    }

    enum Wait {
        Join,
        Mutex,
    }

    /// What a thread that sleeps so waits for, if it is the calling one, whose number is `me`.
    fn wait_for(me: u32, sleep: Sleep) -> Option<Wait> {
        // glibc's descriptor of a thread begins where its `pthread_t` points to, and is smaller than this. A join
        // sleeps there until the system has cleared the number.
        const DESCRIPTOR: usize = 4096;
        // glibc's mutex: a word to sleep on, a count, and the owner's number.
        const OWNER_AT: usize = 8;
        // SAFETY: it has no arguments and no effects.
        let descriptor = unsafe { libc::pthread_self() } as usize;
        if (descriptor..descriptor + DESCRIPTOR).contains(&sleep.at) {
            return (sleep.value == me).then_some(Wait::Join);
        }
        let owner = thread_activity::number_at(sleep.at.checked_add(OWNER_AT)?)?;
        (owner == me).then_some(Wait::Mutex)
    }

    fn say(waiter: u32, wait: Wait, owner: Option<&Owner>, me: u32) {
        let mut parked = FixedText::<128>::new();
        let is_named = owner.is_some_and(|owner| owner.write_name(&mut parked));
        if !is_named {
            thread_activity::write_name(me, &mut parked);
        }
        let mut name = FixedText::<64>::new();
        thread_activity::write_name(waiter, &mut name);
        let mut line = FixedText::<512>::new();
        let (before, after) = match wait {
            Wait::Join => ("waits for the end of", ""),
            Wait::Mutex => ("waits for a mutex of", ", which has it locked,"),
        };
        let _ = write!(
            line,
            "rtfinalize: '{}' (thread {waiter}) {before} '{}' (thread {me}){after} and will never get on: that thread \
             came too late and is parked for good",
            name.as_str(),
            parked.as_str(),
        );
        tell(format_args!("{}", line.as_str()));
    }
}
