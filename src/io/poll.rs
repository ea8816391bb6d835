//! What can be done with a descriptor at this moment.

use super::errno::errno;
use libc::c_int;

pub(super) fn polled(fd: c_int) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }
}

pub(super) fn look_at(fd: c_int) -> Option<libc::c_short> {
    let mut entry = polled(fd);
    // SAFETY: one entry, writable.
    let asked = unsafe { libc::poll(&mut entry, 1, 0) };
    // Interrupted, it has not looked: there is no room yet.
    (asked >= 0 || errno() == libc::EINTR).then_some(if asked > 0 { entry.revents } else { 0 })
}

/// Whether it is certain that nobody reads at the other end.
pub(super) fn is_broken(fd: c_int) -> bool {
    look_at(fd).is_some_and(|events| events & libc::POLLERR != 0)
}
