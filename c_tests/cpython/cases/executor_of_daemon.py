# title: a daemon thread keeps submitting work to its ThreadPoolExecutor while the process ends
# of: concurrent.futures
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from support import daemon

ready = threading.Event()


def work() -> None:
    with ThreadPoolExecutor(4) as pool:
        while True:
            try:
                sum(pool.map(len, [b"some", b"work"] * 20))
            except RuntimeError as refusal:
                print(refusal, file=sys.stderr)
            ready.set()


daemon(work)
ready.wait()
