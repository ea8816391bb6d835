# title: an atexit callback that takes six seconds, and no deadline: waited for, but not in silence
# of: defaults
# seconds: 15
# says: wait_long
import atexit
import time


def wait_long() -> None:
    time.sleep(6)


atexit.register(wait_long)
