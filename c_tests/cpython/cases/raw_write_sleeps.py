# title: a daemon thread is in a raw stream's own write() and holds the buffer's lock
# of: map
# stock: always
# exit: 0 or 120
import atexit
import io
import sys
import threading
import time

from support import daemon

inside = threading.Event()


class Slow(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        inside.set()
        time.sleep(600)
        return len(data)


def write() -> None:
    sys.stdout.buffer.write(b"x" * 1_000_000)  # more than any buffer holds


def start() -> None:
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(Slow()))
    daemon(write)
    inside.wait()


atexit.register(start)
