# title: eight daemon threads print to stdout while the process ends
# of: map, gh-86883
# journal: accepted in stdout
# from: 3.13: until then TextIOWrapper.write loses or repeats text of threads that write at once (gh-119506)
import sys
import threading

from support import Journal, daemon

journal = Journal("accepted")
ready = threading.Barrier(9)


def log(number: int) -> None:
    for count in range(10**9):
        if count == 50:
            ready.wait()
        line = f"logger {number} line {count} {'.' * 60}\n"
        sys.stdout.write(line)
        journal.enter(line)


for number in range(8):
    daemon(log, number)
ready.wait()
