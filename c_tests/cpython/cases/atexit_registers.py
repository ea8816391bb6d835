# title: exit callbacks that register callbacks, themselves too: none of those is called, all are counted
# of: gh-67056
# arrives: stdout: b"second 2\nfirst 3\nend\n"
import atexit
import os


def second() -> None:
    os.write(1, b"second %d\n" % atexit._ncallbacks())
    atexit.register(second)


def first() -> None:
    os.write(1, b"first %d\n" % atexit._ncallbacks())
    atexit.register(os.write, 1, b"never\n")


class Last:
    def __del__(self, write=os.write) -> None:
        write(1, b"end\n")


last = Last()
atexit.register(first)
atexit.register(second)
