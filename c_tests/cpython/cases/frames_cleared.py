# title: daemon threads deep in calls, whose locals have finalizers, while their states are cleared
# of: bpo-20526
import sys
import threading

from support import daemon


class Local:
    def __del__(self, out=sys.stderr) -> None:
        out.write("")


ready = threading.Barrier(17)


def deep(level: int) -> None:
    local = Local()
    if level:
        deep(level - 1)
    else:
        del local
        sum(range(100))


def work() -> None:
    for count in range(10**9):
        if count == 5:
            ready.wait()
        deep(50)


for _ in range(16):
    daemon(work)
ready.wait()
