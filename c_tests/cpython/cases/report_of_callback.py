# title: an atexit callback that is interrupted at the deadline: the report says where in Python it was, or the last line if the interruption comes too late
# of: map
# stock: none
# exit: 0 or 120
# seconds: 15
# set: RTFINALIZE_DEADLINE=4s
# says: callback '(?:wait_for_good|exit callbacks)', in [^"\n]*wait_for_good \([^"\n]*report_of_callback\.py:\d+\)
import atexit
import threading


def wait_for_good() -> None:
    threading.Event().wait()


atexit.register(wait_for_good)
