# title: greenlets switch away inside the buffer of a text file that they share, and end in another order
# of: greenlet, gevent
# needs: greenlet
# arrives: stdout: b"one\nthree\ntwo\n"
# freethreaded: greenlet crashes as it switches
import io
import sys

import greenlet


class Switching(io.BufferedIOBase):
    """Gives the turn away once in every write."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        parent = greenlet.getcurrent().parent
        if parent is not None:
            parent.switch()
        self.taken.append(bytes(data))
        return len(data)


def write(depth: int, line: str) -> None:
    if depth:
        write(depth - 1, line)
    else:
        text.write(line)
        text.flush()


text = io.TextIOWrapper(Switching(), encoding="utf-8", newline="\n")
writers = [greenlet.greenlet(write) for _ in range(3)]
for writer, depth, line in zip(writers, (0, 0, 3), ("one\n", "two\n", "three\n")):
    writer.switch(depth, line)
# Other frames lie by now where theirs were.
sorted(range(1000), key=repr)
for number in (1, 2, 0):
    while not writers[number].dead:
        writers[number].switch()
sys.stdout.write("".join(sorted(line.decode() for line in text.buffer.taken)))
