# title: a daemon thread switches profiling of all threads on and off while the process ends
# of: gh-137433
import threading

from support import daemon

ready = threading.Barrier(5)


def switch() -> None:
    ready.wait()
    while True:
        threading.setprofile_all_threads(lambda *_: None)
        threading.setprofile_all_threads(None)


def work() -> None:
    ready.wait()
    while True:
        len(str(42))


daemon(switch)
for _ in range(3):
    daemon(work)
ready.wait()
