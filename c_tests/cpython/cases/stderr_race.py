# title: daemon threads report exceptions on stderr while the process ends
# of: gh-129536
import sys
import threading

from support import daemon

ready = threading.Barrier(9)


def fail() -> None:
    for count in range(10**9):
        if count == 5:
            ready.wait()
        try:
            raise ConnectionError("the server went away")
        except ConnectionError:
            sys.excepthook(*sys.exc_info())


for _ in range(8):
    daemon(fail)
ready.wait()
