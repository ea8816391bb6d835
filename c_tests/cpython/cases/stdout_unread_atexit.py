# title: a daemon thread started from an atexit callback writes to a stdout nobody reads
# of: map, gh-129536
# stock: always
# stdout: unread
# exit: 0 or 120
import atexit
import sys

from support import daemon, wait_until_blocked


def write() -> None:
    while True:
        sys.stdout.buffer.write(b"x" * 65536)


def start() -> None:
    wait_until_blocked(daemon(write), 1)


atexit.register(start)
