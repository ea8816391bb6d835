"""Files and resources that nobody closes."""

# %% text_file_not_closed: records of an open text file
# ends: 0
file = open("records", "w")
for number in range(1000):
    file.write(f"record {number}\n")

# %% binary_file_not_closed: a buffered binary file
file = open("bytes", "wb")
file.write(b"x" * 100)

# %% file_in_function_not_closed: a file that only a frame of the main thread referred to
def save():
    file = open("saved", "w")
    file.write("saved\n")
save()

# %% file_in_class_not_closed: a file that an instance has
class Log:
    def __init__(self):
        self.file = open("log", "w")
    def __del__(self):
        self.file.write("the last\n")
log = Log()
log.file.write("the first\n")

# %% file_in_cycle_not_closed: a file in a cycle of objects
class Node:
    pass
node = Node()
node.self, node.file = node, open("cycle", "w")
node.file.write("in a cycle\n")
del node

# %% file_of_another_module: a file of an imported module
import journal
journal.enter("one")
# --- journal.py
file = open("journal", "w")
def enter(text):
    file.write(text + "\n")

# %% file_in_builtins: a file that builtins refer to
import builtins
builtins.log = open("log", "w")
log.write("kept to the end\n")

# %% file_in_default_argument: a file in a function's defaults
def write(text, file=open("log", "w")):
    file.write(text)
write("x\n")

# %% file_in_closure: a file in a closure
def maker():
    file = open("log", "w")
    return lambda text: file.write(text)
write = maker()
write("x\n")

# %% file_in_class_attribute: a file of a class
class Log:
    file = open("log", "w")
Log.file.write("x\n")

# %% two_files_one_text_order: two open files, which are one
one, two = open("same", "a"), open("same", "a")
one.write("one\n")
two.write("two\n")

# %% many_files_in_order: twenty open files, and the order in which they are written
# stdout: ^19 18 17
import io
order = []
class Raw(io.RawIOBase):
    def __init__(self, number):
        self.number = number
    def writable(self):
        return True
    def write(self, data, print=print):
        print(self.number, end=" ")
        return len(data)
files = [io.TextIOWrapper(io.BufferedWriter(Raw(number))) for number in range(20)]
for file in files:
    file.write("x")

# %% file_full_at_exit: an open file without space
# ends: 0
# stderr: No space left on device
# normalise: address
file = open("/dev/full", "w")
file.write("lost\n")

# %% file_full_and_own_code: the same with a code of the script's own
# ends: 3
# stderr: No space left on device
import sys
file = open("/dev/full", "w")
file.write("lost\n")
sys.exit(3)

# %% file_full_in_cycle: no space for a file in a cycle that the collector has not seen
file = open("/dev/full", "w")
file.write("lost\n")
ring = [file]
ring.append(ring)
del file, ring

# %% file_full_on_close: close() without space
# ends: 1
# stderr: ^OSError: \[Errno 28\]
with open("/dev/full", "w") as file:
    file.write("lost\n")

# %% descriptor_closed_under_file: os.close under an open file
# stderr: Bad file descriptor
import os
file = open("log", "w")
file.write("lost\n")
os.close(file.fileno())

# %% file_written_by_del: a file that is written as another object dies
class Last:
    def __init__(self, file):
        self.file = file
    def __del__(self):
        self.file.write("from __del__\n")
last = Last(open("log", "w"))

# %% file_written_by_exit_callback: a file that an exit callback writes
import atexit
file = open("log", "w")
atexit.register(file.write, "from a callback\n")

# %% file_subclass_flush: flush and close of a subclass
# stdout: ^flush\n
import io
class Told(io.TextIOWrapper):
    def flush(self, print=print):
        print("flush")
        super().flush()
    def close(self, print=print):
        print("close")
        super().close()
file = Told(open("log", "wb"))
file.write("x\n")

# %% raw_subclass_close: close of a raw subclass
# stdout: ^write 3\nclose$
import io
class Raw(io.RawIOBase):
    def writable(self):
        return True
    def write(self, data, print=print):
        print("write", len(data))
        return len(data)
    def close(self, print=print):
        if not self.closed:
            print("close")
        super().close()
file = io.BufferedWriter(Raw())
file.write(b"abc")

# %% raw_that_fails_at_exit: a raw object whose write raises
# stderr: RuntimeError: no write
# normalise: address
import io
class Raw(io.RawIOBase):
    def writable(self):
        return True
    def write(self, data):
        raise RuntimeError("no write")
file = io.BufferedWriter(Raw())
file.write(b"abc")

# %% gzip_not_closed: a gzip file
# ignore: log.gz
import gzip
file = gzip.open("log.gz", "wt")
file.write("x\n" * 100)

# %% bz2_not_closed: a bz2 file
import bz2
file = bz2.open("log.bz2", "wt")
file.write("x\n" * 100)

# %% lzma_not_closed: an lzma file
import lzma
file = lzma.open("log.xz", "wt")
file.write("x\n" * 100)

# %% zipfile_not_closed: a zip archive
# ignore: archive.zip
# stdout: ^\['a'\]$
import atexit, zipfile
archive = zipfile.ZipFile("archive.zip", "w")
archive.writestr(zipfile.ZipInfo("a"), "text")
print(archive.namelist())

# %% zipfile_member_not_closed: a member of a zip archive that is being written
# normalise: address
# ignore: archive.zip
import zipfile
archive = zipfile.ZipFile("archive.zip", "w")
member = archive.open(zipfile.ZipInfo("a"), "w")
member.write(b"text")

# %% tarfile_not_closed: a tar archive
# stdout: ^\['a'\]$
import io, tarfile
archive = tarfile.open("archive.tar", "w")
archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
print(archive.getnames())

# %% csv_not_closed: csv.writer over an open file
import csv
rows = csv.writer(open("rows.csv", "w", newline=""))
rows.writerows([number, number * number] for number in range(100))

# %% sqlite_not_committed: a transaction that nobody commits
# run: $PY program.py; $PY -c 'import sqlite3; print(*sqlite3.connect("db").execute("select * from t"))'
# stdout: ^\(1,\)$
# ignore: db
import sqlite3
db = sqlite3.connect("db")
db.execute("create table t (n)")
db.execute("insert into t values (1)")
db.commit()
db.execute("insert into t values (2)")

# %% sqlite_cursor_open: a cursor in the middle of its rows
# stdout: ^\(0,\)$
import sqlite3
db = sqlite3.connect(":memory:")
db.execute("create table t (n)")
db.executemany("insert into t values (?)", [(number,) for number in range(100)])
rows = db.execute("select n from t")
print(next(rows))

# %% mmap_not_closed: a file in memory
import mmap
with open("map", "wb+") as file:
    file.write(b"0123456789")
    file.flush()
    view = mmap.mmap(file.fileno(), 0)
view[3:5] = b"xy"

# %% dbm_not_closed: a shelve
# run: $PY program.py; $PY -c 'import shelve; print(shelve.open("db")["key"])'
# stdout: ^\[1, 2\]$
# ignore: db*
import shelve
db = shelve.open("db")
db["key"] = [1, 2]

# %% shelve_writeback_not_closed: what only writeback would have kept
# run: $PY program.py; $PY -c 'import shelve; print(shelve.open("db")["key"])'
# stdout: ^\[1, 2\]$
# ignore: db*
import shelve
db = shelve.open("db", writeback=True)
db["key"] = [1]
db["key"].append(2)

# %% temporary_file_not_closed: tempfile.TemporaryFile
import tempfile
file = tempfile.TemporaryFile()
file.write(b"x")

# %% named_temporary_file_not_closed: tempfile.NamedTemporaryFile is deleted at exit
# stdout: ^True$
import os, tempfile
file = tempfile.NamedTemporaryFile("w")
file.write("x")
print(os.path.exists(file.name))

# %% named_temporary_file_kept: delete=False
# normalise: temporary
import tempfile
file = tempfile.NamedTemporaryFile("w", delete=False)
file.write("kept\n")

# %% temporary_directory_not_cleaned: tempfile.TemporaryDirectory warns and cleans
# stderr: ResourceWarning: Implicitly cleaning up
# argv: -W default program.py
# normalise: temporary
import os, tempfile
folder = tempfile.TemporaryDirectory()
open(os.path.join(folder.name, "file"), "w").close()

# %% temporary_directory_gone: a temporary folder that somebody else removed
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.rmdir(folder.name)

# %% temporary_directory_with_open_file: a file in a temporary folder that is still open
import os, tempfile
folder = tempfile.TemporaryDirectory()
file = open(os.path.join(folder.name, "file"), "w")
file.write("x")

# %% spooled_temporary_file: tempfile.SpooledTemporaryFile
import tempfile
file = tempfile.SpooledTemporaryFile(10)
file.write(b"more than ten bytes")

# %% resource_warning_of_file: -W default names the file
# argv: -W default program.py
# stderr: ResourceWarning: unclosed file
open("log", "w").write("x")

# %% resource_warning_at_exit: a file that is open at the end, with -X dev
# argv: -X dev program.py
# stderr: ResourceWarning: unclosed file
file = open("log", "w")
file.write("x")

# %% resource_warning_of_socket: an open socket, with -X dev
# argv: -X dev program.py
# stderr: ResourceWarning: unclosed <socket
import socket
wire, other = socket.socketpair()

# %% resource_warning_as_error: -W error::ResourceWarning at exit
# argv: -W error::ResourceWarning program.py
# stderr: ResourceWarning: unclosed file
# normalise: address
file = open("log", "w")
file.write("x\n")

# %% socket_open_at_exit: a connection that is open at the end
# stdout: ^b'bye'$
import socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
text = f"import socket; wire = socket.create_connection(('127.0.0.1', {server.getsockname()[1]})); wire.sendall(b'bye')"
child = subprocess.Popen([sys.executable, "-c", text])
print(server.accept()[0].makefile("rb").read())
child.wait()

# %% socket_file_not_flushed: a buffered file of a socket
# stdout: ^b'buffered'$
import socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
text = f"import socket; wire = socket.create_connection(('127.0.0.1', {server.getsockname()[1]})); file = wire.makefile('wb'); file.write(b'buffered')"
child = subprocess.Popen([sys.executable, "-c", text])
print(server.accept()[0].makefile("rb").read())
child.wait()

# %% pipe_file_not_flushed: a buffered file of a pipe to a child
# stdout: ^sorted\n?[\s\S]*a$|^a$
import os, subprocess
pipe = os.popen("cat", "w")
pipe.write("a\n")
pipe.close()

# %% file_size_limit: ulimit -f and an open file
# run: ulimit -f 1; exec $PY program.py
# ends: 1
# stderr: File too large
# normalise: address
file = open("big", "w")
for _ in range(10):
    file.write("x" * 1000)

# %% file_size_limit_at_exit: ulimit -f when the text is still in the buffer
# run: ulimit -f 1; exec $PY program.py
# stderr: File too large
# normalise: address
file = open("big", "w")
file.write("x" * 5000)

# %% file_size_limit_of_stdout: ulimit -f and standard output
# run: ulimit -f 1; exec $PY program.py >big
# ends: 120
# stderr: File too large
print("x" * 5000)

# %% file_size_limit_signal: SIGXFSZ with its default
# run: ulimit -f 1; exec $PY program.py
# ends: SIGXFSZ
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
file = open("big", "w")
file.write("x" * 5000)

# %% descriptor_limit: ulimit -n
# run: ulimit -n 16; exec $PY program.py
# ends: 1
# stderr: Too many open files
files = []
while True:
    files.append(open("log", "w"))

# %% memory_limit: ulimit -v
# run: ulimit -v 400000; exec $PY program.py
# ends: 1
# stderr: ^MemoryError$
blocks = []
while True:
    blocks.append(bytearray(10_000_000))

# %% stack_limit: ulimit -s and a deep recursion
# run: ulimit -s 1024; exec $PY program.py
# ends: 1
# stderr: RecursionError
def deeper(n):
    return deeper(n + 1)
deeper(0)

# %% read_only_folder: a file in a folder that is not there
# ends: 1
# stderr: ^FileNotFoundError
open("no/such/folder", "w")

# %% logging_at_exit: a FileHandler that logging.shutdown closes
import logging
logging.basicConfig(filename="app.log", level=logging.INFO, format="%(levelname)s %(message)s")
logging.info("one")
logging.warning("two")

# %% logging_in_exit_callback: a record in an exit callback
import atexit, logging
logging.basicConfig(filename="app.log", format="%(message)s")
atexit.register(logging.warning, "at exit")

# %% logging_after_shutdown: a record in __del__ at the very end
# stderr: ^at the end$
import logging
logging.basicConfig(format="%(message)s")
class Last:
    def __del__(self):
        logging.getLogger().warning("at the end")
last = Last()

# %% logging_memory_handler: a MemoryHandler keeps records until the end
import logging, logging.handlers
target = logging.FileHandler("app.log")
logger = logging.getLogger()
logger.addHandler(logging.handlers.MemoryHandler(1000, target=target))
for number in range(10):
    logger.warning("record %d", number)

# %% logging_queue_listener: a QueueListener that nobody stops
# stdout: ^main$
import logging, logging.handlers, queue
records = queue.Queue()
listener = logging.handlers.QueueListener(records, logging.FileHandler("app.log"))
listener.start()
logging.getLogger().addHandler(logging.handlers.QueueHandler(records))
logging.warning("one")
listener.stop()
print("main")

# %% logging_handler_fails: a stream handler whose stream is closed
# stderr: --- Logging error ---
import io, logging
stream = io.StringIO()
logging.basicConfig(stream=stream)
stream.close()
logging.warning("nowhere")

# %% logging_last_resort: a warning without any handler
# stderr: ^nobody asked$
import logging
logging.warning
logging.getLogger("some").warning("nobody asked")

# %% logging_rotating: a RotatingFileHandler
import logging.handlers
logger = logging.getLogger()
logger.addHandler(logging.handlers.RotatingFileHandler("app.log", maxBytes=100, backupCount=2))
for number in range(20):
    logger.warning("record %d", number)

# %% fifo_without_reader: a pipe to which nobody listens
# stderr: Broken pipe
# normalise: address
import os
reader, writer = os.pipe()
file = os.fdopen(writer, "w")
file.write("lost\n")
os.close(reader)
