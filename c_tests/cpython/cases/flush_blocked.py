# title: a daemon thread is in the middle of a flush to a full pipe, with more accepted than it holds
# of: map
# stock: always
# stdout: unread
# exit: 0 or 120
# arrives: stdout: b"".join(b"%09d\n" % i for i in range(10_000))
from support import daemon, wait_until_blocked


def write() -> None:
    file = open(1, "wb", buffering=1 << 20, closefd=False)
    for number in range(10_000):
        file.write(b"%09d\n" % number)
    file.flush()


wait_until_blocked(daemon(write), 1)
