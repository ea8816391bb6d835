# title: a child forked while daemon threads print and wait for the interpreter
# of: fork
# journal: accepted in stdout
# from: 3.13: until then TextIOWrapper.write loses or repeats text of threads that write at once (gh-119506)
import os
import sys
import threading

from support import Journal, daemon

journal = Journal("accepted")
ready = threading.Barrier(5)


def log(number: int) -> None:
    for count in range(10**9):
        if count == 50:
            ready.wait()
        line = f"logger {number} line {count} {'.' * 60}\n"
        sys.stdout.write(line)
        journal.enter(line)


for number in range(4):
    daemon(log, number)
ready.wait()
child = os.fork()
if child == 0:
    # What was in the buffers is the parent's; the child's own way out is free.
    os.close(1)
    os.open(os.devnull, os.O_WRONLY)
    sys.exit(0)
_, status = os.waitpid(child, 0)
if status != 0:
    os._exit(90)
