# title: a program with one thread ends with one thread: in exit callbacks, that fork, and in finalizers
# of: everyday
# silent: yes
# arrives: stdout: b"callback 1\nfinalizer 1\n"
# from: 3.13: 3.12 refuses to fork in exit callbacks
import atexit
import os


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def callback() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    os.write(1, b"callback %d\n" % threads())


class Last:
    def __del__(self, threads=threads, write=os.write) -> None:
        write(1, b"finalizer %d\n" % threads())


last = Last()
atexit.register(callback)
