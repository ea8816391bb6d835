# title: a daemon thread is blocked in a write to stdout when the script ends
# of: map
# stock: always
# stdout: unread
# exit: 0 or 120
import sys

from support import daemon, wait_until_blocked


def write() -> None:
    while True:
        sys.stdout.buffer.write(b"x" * 65536)


wait_until_blocked(daemon(write), 1)
