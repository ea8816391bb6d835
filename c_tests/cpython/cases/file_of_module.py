# title: records in a binary file that a module global refers to, and a daemon thread uses
# of: map
# arrives: out: b"".join(b"record %d\n" % i for i in range(600))
import threading
import time

from support import daemon

written = threading.Event()
file = open("out", "wb")


def work() -> None:
    write = file.write
    for number in range(600):
        write(b"record %d\n" % number)
    written.set()
    time.sleep(600)


daemon(work)
written.wait()
