# title: an atexit callback that takes six seconds, and no deadline: waited for, and whoever asks is told of it
# of: defaults
# seconds: 15
# set: RTFINALIZE_NOTICE=5s
# says: wait_long
import atexit
import time


def wait_long() -> None:
    time.sleep(6)


atexit.register(wait_long)
