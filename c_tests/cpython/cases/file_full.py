# title: records in a file on a full disk, of a daemon thread's frame
# of: disk full
# stock: always
# exit: 120
# counts: 6490
import threading
import time

from support import daemon

written = threading.Event()


def work() -> None:
    file = open("/dev/full", "wb", buffering=16_384)
    for number in range(600):
        file.write(b"record %d\n" % number)
    written.set()
    time.sleep(600)


daemon(work)
written.wait()
