"""A program as many are: daemon threads that log, one that feeds a pager, and a thread that never ends.

Each of the loggers has a file of its own, which only its frame refers to. Nobody reads the pipe that the feeder writes to,
which is stdout. The poller waits for an answer that does not come.

What it says about itself goes to stderr.
"""

import io
import os
import queue
import sys
import threading
import time

from accepted import Accepted, wait_until_it_writes

LOGGERS = 3
RECORDS = 500  # of each logger
PAUSE = 0.002  # seconds between two records of a logger
PAGE = 1024

# With the same buffer in every Python: their own differ in size.
sys.stdout = io.TextIOWrapper(open(1, "wb", buffering=8 * PAGE, closefd=False))
done = queue.Queue()  # type: queue.Queue[int]


def say(text):
    # type: (str) -> None
    os.write(2, (text + "\n").encode())


def log(number):
    # type: (int) -> None
    file = open("logger-%d.log" % number, "w", encoding="utf-8")
    accepted = Accepted("logger-%d.log.accepted" % number)
    for count in range(1, RECORDS + 1):
        record = "logger %d, record %d\n" % (number, count)
        file.write(record)
        accepted.enter(record.encode())
        if count % (RECORDS // 2) == 0:
            say("logger %d: %d records are logged" % (number, count))
        time.sleep(PAUSE)
    done.put(number)
    while True:
        time.sleep(0.01)


def feed():
    # type: () -> None
    accepted = Accepted("stdout.accepted")
    number = 0
    while True:
        number += 1
        page = b"page %d" % number + b"." * PAGE
        sys.stdout.buffer.write(page[: PAGE - 1] + b"\n")
        accepted.enter(page[: PAGE - 1] + b"\n")


def poll():
    # type: () -> None
    queue.Queue().get()


feeder = threading.Thread(target=feed, name="feeder", daemon=True)
feeder.start()
for number in range(LOGGERS):
    threading.Thread(target=log, args=(number,), name="logger %d" % number, daemon=True).start()
threading.Thread(target=poll, name="poller").start()
say("poller: waits for an answer")
wait_until_it_writes(feeder, 1)
say("feeder: its pipe is full")
for _ in range(LOGGERS):
    done.get()
say("main: all is done")
