# title: an atexit callback that never ends, and a deadline
# of: map
# stock: always
# exit: 0 or 120
# set: RTFINALIZE_DEADLINE=1s
# says: wait_for_good
import atexit
import threading


def wait_for_good() -> None:
    threading.Event().wait()


atexit.register(wait_for_good)
