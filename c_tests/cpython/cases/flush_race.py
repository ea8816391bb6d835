# title: four daemon threads write and flush a file each while the process ends
# of: map
# journal: accepted0 in out0
# journal: accepted1 in out1
# journal: accepted2 in out2
# journal: accepted3 in out3
import threading

from support import Journal, daemon

ready = threading.Barrier(5)


def work(number: int) -> None:
    journal = Journal(f"accepted{number}")
    file = open(f"out{number}", "w")
    for count in range(10**9):
        if count == 50:
            ready.wait()
        line = f"line {count} {'.' * 700}\n"
        file.write(line)
        journal.enter(line)
        if count % 7 == 0:
            file.flush()


for number in range(4):
    daemon(work, number)
ready.wait()
