# title: eight daemon threads print and flush, as fast as they can, while the process ends
# of: gh-86883
import threading

from support import daemon

ready = threading.Barrier(9)


def shout() -> None:
    ready.wait()
    while True:
        print("a line that goes out at once", flush=True)


for _ in range(8):
    daemon(shout)
ready.wait()
