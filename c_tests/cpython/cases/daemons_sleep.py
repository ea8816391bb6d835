# title: two hundred daemon threads wake up one after the other during a slow finalization
# of: bpo-39877
import threading
import time

from support import daemon


class Slow:
    """Lengthens the time in which thread states are gone and the process is not."""

    def __del__(self, now=time.perf_counter) -> None:
        end = now() + 0.1
        while now() < end:
            pass


ready = threading.Barrier(201)


def sleep(seconds: float) -> None:
    ready.wait()
    while True:
        time.sleep(seconds)


for number in range(200):
    daemon(sleep, 0.001 * (number % 20 + 1))
slow = Slow()
ready.wait()
