# title: a daemon thread started from an atexit callback writes to a stderr nobody reads
# of: gh-129536
# stock: always
# stderr: unread
# exit: 0 or 120
import atexit
import sys

from support import daemon, wait_until_blocked


def write() -> None:
    while True:
        sys.stderr.buffer.write(b"x" * 65536)


def start() -> None:
    wait_until_blocked(daemon(write), 2)


atexit.register(start)
