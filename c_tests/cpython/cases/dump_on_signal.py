# title: somebody asks by a signal why the end does not come: every thread's place is said
# of: everyday
# stock: none
# set: RTFINALIZE_DUMP_ON=SIGUSR1
# says: in wait_to_be_told
# package: its dump has other words, and tests of its own
import signal
import sys
import threading
import time

told = threading.Event()


def wait_to_be_told() -> None:
    told.wait()


def is_joining() -> bool:
    frame = sys._current_frames().get(threading.main_thread().ident)
    return frame is not None and frame.f_code.co_name == "_shutdown"


def ask() -> None:
    # Until the main thread waits for the other one.
    while not is_joining():
        time.sleep(0.001)
    # To this very thread: it has been said when the call returns.
    signal.raise_signal(signal.SIGUSR1)
    told.set()


threading.Thread(target=wait_to_be_told).start()
threading.Thread(target=ask, daemon=True).start()
