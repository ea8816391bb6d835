# title: with no deadline, an atexit callback that takes six seconds is waited for, and named on request
# of: defaults
# seconds: 15
# set: RTFINALIZE_NOTICE=5s
# says: wait_long
import atexit
import time


def wait_long() -> None:
    time.sleep(6)


atexit.register(wait_long)
