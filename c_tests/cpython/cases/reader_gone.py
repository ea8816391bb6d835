# title: records for a pipe whose reader is gone, of a daemon thread's frame
# of: reader gone
# stock: always
# exit: 120
# counts: 6490
import os
import threading
import time

from support import daemon

written = threading.Event()


def work(end: int) -> None:
    file = open(end, "wb", buffering=8192)
    for number in range(600):
        file.write(b"record %d\n" % number)
    written.set()
    time.sleep(600)


reader, writer = os.pipe()
daemon(work, writer)
written.wait()
os.close(reader)
