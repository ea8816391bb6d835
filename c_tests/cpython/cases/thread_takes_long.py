# title: a non-daemon thread that takes six seconds, and no deadline: waited for, and whoever asks is told of it
# of: defaults
# seconds: 15
# set: RTFINALIZE_NOTICE=5s
# says: (?s)patient.*wait_long
import threading
import time


def wait_long() -> None:
    time.sleep(6)


threading.Thread(target=wait_long, name="patient").start()
