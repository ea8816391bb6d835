"""greenlet and gevent."""

# %% greenlet_suspended_at_exit: a greenlet that never ends
# needs: greenlet
# stdout: ^in it\nmain$
import greenlet
def work():
    print("in it")
    main.switch()
    print("never")
main = greenlet.getcurrent()
one = greenlet.greenlet(work)
one.switch()
print("main")

# %% greenlet_with_finally: the finally clause of a greenlet that is collected
# needs: greenlet
# stdout: ^main\nGreenletExit$
import greenlet
def work():
    try:
        main.switch()
    except greenlet.GreenletExit:
        print("GreenletExit")
main = greenlet.getcurrent()
one = greenlet.greenlet(work)
one.switch()
print("main")
del one

# %% greenlets_share_text_file: greenlets that switch away inside the write of one text file
# needs: greenlet
# stdout: ^end$
import greenlet, io
class Slow(io.BufferedIOBase):
    def writable(self):
        return True
    def write(self, data):
        here = greenlet.getcurrent()
        if here.parent is not None:
            here.parent.switch()
        return len(data)
def write(depth):
    if depth:
        return write(depth - 1)
    text.write("line\n")
    text.flush()
text = io.TextIOWrapper(Slow(), encoding="utf-8")
first, second, third = (greenlet.greenlet(write) for _ in range(3))
first.switch(0)
second.switch(0)
third.switch(3)
sorted(range(1000), key=lambda x: repr(x))
second.switch()
third.switch()
first.switch()
print("end")

# %% greenlet_suspended_in_write_at_exit: greenlets that are inside the write of a text file at the end
# needs: greenlet
# stdout: ^end$
import greenlet, io
final = False
class Raw(io.RawIOBase):
    def writable(self):
        return True
    def write(self, data):
        if not final:
            hub.switch()
        return len(data)
def deeper(n):
    return sorted([n], key=lambda x: deeper(n - 1)) if n else [0]
hub, kept = greenlet.getcurrent(), []
for _ in range(3):
    text = io.TextIOWrapper(io.BufferedWriter(Raw(), 16), "utf-8", write_through=True)
    one = greenlet.greenlet(lambda text=text: text.write("x" * 100))
    one.switch()
    kept.append((text, one))
for _ in range(50):
    try:
        deeper(40)
    except TypeError:
        pass
final = True
print("end")

# %% greenlet_in_thread: greenlets of a thread that ends
# needs: greenlet
# stdout: ^thread\nmain$
import greenlet, threading
def work():
    here = greenlet.getcurrent()
    one = greenlet.greenlet(lambda: here.switch())
    one.switch()
    print("thread")
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("main")

# %% gevent_joined: gevent's greenlets, joined
# needs: gevent
# stdout: ^0\n1\n2\nmain$
import gevent
gevent.joinall([gevent.spawn(print, number) for number in range(3)])
print("main")

# %% gevent_left: greenlets that wait as the program ends
# needs: gevent
# stdout: ^main$
import gevent
for _ in range(3):
    gevent.spawn(gevent.sleep, 3600)
gevent.sleep(0)
print("main")

# %% gevent_fails: an exception in a greenlet of gevent
# needs: gevent
# stdout: ^main$
# stderr: failed with ZeroDivisionError
# normalise: address, date
# replace: (?m)^\w+ \w+ +\d+ \d\d:\d\d:\d\d \d{4} => DATE
# replace: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ => DATE
import gevent
gevent.spawn(lambda: 1 / 0).join()
print("main")

# %% gevent_exits: sys.exit in a greenlet of gevent
# needs: gevent
# ends: 5
import gevent, sys
gevent.spawn(sys.exit, 5)
gevent.sleep(1)

# %% gevent_patched_threads: threading on gevent
# needs: gevent
# stdout: ^worker\nmain$
from gevent import monkey
monkey.patch_all()
import threading
thread = threading.Thread(target=print, args=["worker"])
thread.start()
thread.join()
print("main")

# %% gevent_patched_thread_left: a thread of gevent that is waited for at exit
# needs: gevent
# stdout: ^main\nworker$
from gevent import monkey
monkey.patch_all()
import threading, time
def work():
    time.sleep(0.05)
    print("worker")
threading.Thread(target=work).start()
print("main")

# %% gevent_patched_executor: a thread pool on gevent
# needs: gevent
# stdout: ^\[0, 1, 4\]$
from gevent import monkey
monkey.patch_all()
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool:
    print(list(pool.map(lambda n: n * n, range(3))))

# %% gevent_threadpool_left: gevent's own thread pool
# needs: gevent
# stdout: ^3$
import gevent
print(gevent.get_hub().threadpool.apply(abs, (-3,)))

# %% gevent_text_file_shared: greenlets that write to one text file on a pipe, one at a time
# needs: gevent
# stdout: ^300$
import gevent.lock, os
from gevent.fileobject import FileObjectPosix
reader, writer = os.pipe()
ours, theirs = FileObjectPosix(writer, "w", buffering=1), FileObjectPosix(reader, "r")
one_at_a_time = gevent.lock.BoundedSemaphore()
def write(number):
    for _ in range(100):
        with one_at_a_time:
            ours.write(f"{number} " + "x" * 500 + "\n")
        gevent.sleep(0)
writers = [gevent.spawn(write, number) for number in range(3)]
def read():
    return sum(1 for _ in theirs)
count = gevent.spawn(read)
gevent.joinall(writers)
ours.close()
print(count.get())

# %% gevent_file_left_full: a greenlet that waits to write to a full pipe at the end
# needs: gevent
# stdout: ^main$
import gevent, os
from gevent.fileobject import FileObjectPosix
reader, writer = os.pipe()
file = FileObjectPosix(writer, "wb")
gevent.spawn(lambda: file.write(b"x" * 1_000_000))
gevent.sleep(0.05)
print("main")

# %% gevent_subprocess: a child by gevent.subprocess
# needs: gevent
# stdout: ^b'child\\n'$
import sys
from gevent import subprocess
print(subprocess.check_output([sys.executable, "-c", "print('child')"]))

# %% gevent_server_left: a server of gevent that nobody stops
# needs: gevent
# stdout: ^b'HI'$
import socket, threading
from gevent import socket as green
from gevent.server import StreamServer
def answer(wire, address):
    wire.sendall(wire.recv(100).upper())
server = StreamServer(("127.0.0.1", 0), answer)
server.start()
wire = green.create_connection(server.address)
wire.sendall(b"hi")
print(wire.recv(100))

# %% gevent_fork: a fork beside gevent
# needs: gevent
# stdout: ^child\nparent 0$
import gevent, os
child = gevent.os.fork()
if not child:
    print("child")
else:
    print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
