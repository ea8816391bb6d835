# title: an atexit callback ignores every interruption, and daemon threads write on until the deadline ends the process
# of: defaults
# stock: always
# exit: 120
# set: RTFINALIZE_DEADLINE=500ms
# journal: accepted-0 in log-0
# journal: accepted-1 in log-1
# says: ignore
import atexit
import os
import threading
import time

from support import daemon

begun = threading.Barrier(3)


def write(number: int) -> None:
    journal = os.open(f"accepted-{number}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    log = open(f"log-{number}", "w")
    for count in range(10**9):
        line = f"line {count}\n"
        log.write(line)
        os.write(journal, line.encode())
        if count == 100:
            begun.wait()


def ignore() -> None:
    while True:
        try:
            time.sleep(1000)
        except KeyboardInterrupt:
            pass


atexit.register(ignore)
for number in range(2):
    daemon(write, number)
begun.wait()
