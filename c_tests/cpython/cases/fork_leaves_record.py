# title: a thread is blocked in a text file's write, and a forked child comes to its end
# of: fork
# arrives: out: b"." * 200_000
import os
import sys
import threading

from support import daemon, wait_until_blocked

reader, writer = os.pipe()
file = open(writer, "w")
started = threading.Event()


def write() -> None:
    started.set()
    file.write("." * 200_000)
    file.close()


thread = daemon(write)
started.wait()
wait_until_blocked(thread, writer)
child = os.fork()
if child == 0:
    os.close(reader)
    sys.exit()

# The child may be heard of only once it has room to say what it must not.
out = open("out", "wb")
while part := os.read(reader, 1 << 16):
    out.write(part)
status = os.waitpid(child, 0)[1]
sys.exit(0 if status == 0 else 1)
