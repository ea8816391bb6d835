# title: records in a binary file that only a daemon thread's frame refers to
# of: map
# stock: always
# arrives: out: b"".join(b"record %d\n" % i for i in range(600))
import threading
import time

from support import daemon

written = threading.Event()


def work() -> None:
    file = open("out", "wb")
    for number in range(600):
        file.write(b"record %d\n" % number)
    written.set()
    time.sleep(600)


daemon(work)
written.wait()
