# title: eight daemon threads print and flush, as fast as they can, while the process ends
# of: gh-86883
import threading

from support import daemon

ready = threading.Barrier(9)


def shout() -> None:
    for count in range(10**9):
        print("a line that goes out at once", flush=True)
        if count == 20:
            ready.wait()


for _ in range(8):
    daemon(shout)
ready.wait()
