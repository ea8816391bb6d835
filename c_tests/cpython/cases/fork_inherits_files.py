# title: a child that was forked beside a thread with open files closes all descriptors, opens files, and ends
# of: fork, daemons
# arrives: text: b"text one\ntext two\n"
# arrives: bytes: b"bytes one\nbytes two\n"
# arrives: childs: b"child\n" * 8
import os
import sys
import threading
import warnings

warnings.simplefilter("ignore")
written, go_on = threading.Event(), threading.Event()


def work() -> None:
    with open("text", "w") as text, open("bytes", "wb") as data:
        text.write("text one\n")
        data.write(b"bytes one\n")
        written.set()
        go_on.wait()
        text.write("text two\n")
        data.write(b"bytes two\n")


worker = threading.Thread(target=work)
worker.start()
written.wait()
for closes in (False, True):
    child = os.fork()
    if child == 0:
        if closes:
            os.closerange(3, 64)
            files = [open("childs", "a") for _ in range(8)]
            for file in files:
                file.write("child\n")
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
go_on.set()
worker.join()
