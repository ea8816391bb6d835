# title: a daemon thread switches profiling of all threads on and off while the process ends
# of: gh-137433
# from: 3.12: threading.setprofile_all_threads
# freethreaded: the interpreter crashes as profiling is switched, also while the program runs
import threading

from support import daemon

ready = threading.Barrier(5)


def switch() -> None:
    for count in range(10**9):
        if count == 50:
            ready.wait()
        threading.setprofile_all_threads(lambda *_: None)
        threading.setprofile_all_threads(None)


def work() -> None:
    for count in range(10**9):
        if count == 50:
            ready.wait()
        len(str(42))


daemon(switch)
for _ in range(3):
    daemon(work)
ready.wait()
