# title: a file on a pipe that is full and does not block, whose reader is the program itself: it ends at once
# of: everyday
# exit: 0 or 120
# says: bytes of '\d+' are not written|write could not complete without blocking
import fcntl
import os

reader, writer = os.pipe()
fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
out = open(writer, "w")
try:
    while True:
        os.write(writer, b"x" * 4096)
except BlockingIOError:
    out.write("held back")
