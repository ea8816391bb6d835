# title: lines in a text file that only a daemon thread's frame refers to
# of: map
# stock: always
# arrives: out: "".join(f"Zeile {i}: äöü\n" for i in range(300)).encode()
import threading
import time

from support import daemon

written = threading.Event()


def work() -> None:
    file = open("out", "w", encoding="utf-8")
    for number in range(300):
        file.write(f"Zeile {number}: äöü\n")
    written.set()
    time.sleep(600)


daemon(work)
written.wait()
