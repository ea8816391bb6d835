# title: records above a raw stream written in Python, of a daemon thread's frame
# of: map
# stock: always
# arrives: out: b"".join(b"record %d\n" % i for i in range(600))
import io
import os
import threading
import time

from support import daemon

written = threading.Event()


class Raw(io.RawIOBase):
    def __init__(self, name: str) -> None:
        self.descriptor = os.open(name, os.O_CREAT | os.O_WRONLY)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return os.write(self.descriptor, data)


def work() -> None:
    file = io.BufferedWriter(Raw("out"))
    for number in range(600):
        file.write(b"record %d\n" % number)
    written.set()
    time.sleep(600)


daemon(work)
written.wait()
