# title: with no deadline, a non-daemon thread that takes six seconds is waited for, and named on request
# of: defaults
# seconds: 15
# set: RTFINALIZE_NOTICE=5s
# says: (?s)patient.*wait_long
import threading
import time


def wait_long() -> None:
    time.sleep(6)


threading.Thread(target=wait_long, name="patient").start()
