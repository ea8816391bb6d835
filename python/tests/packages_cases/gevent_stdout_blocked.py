# title: a thread of gevent's pool writes to a stdout that nobody reads, as a monkey-patched program ends
# of: gevent
# needs: gevent
# seconds: 15
# stdout: unread
# exit: 120
# says: <stdout> is cut off: its lock is held by thread
from gevent import monkey

monkey.patch_all()
import os
import sys

import gevent.threadpool

pool = gevent.threadpool.ThreadPool(1)


def write() -> None:
    sys.stdout.buffer.write(b"x" * 1_000_000)


def is_blocked() -> bool:
    """Whether a thread, which gevent does not name, is in a call with this descriptor."""
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/syscall") as call:
            if call.read().split()[1:2] == ["0x1"]:
                return True
    return False


pool.spawn(write)
while not is_blocked():
    gevent.sleep(0.001)
