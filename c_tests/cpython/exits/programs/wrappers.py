"""Files that nobody closes: who refers to them, and what they are made of."""

# %% file_in_list: a file in a list
files = [open("log", "w")]
files[0].write("x\n")

# %% file_in_dictionary_of_module: a file in a dictionary of another module
import registry
registry.files["log"].write("x\n")
# --- registry.py
files = {"log": open("log", "w")}

# %% file_in_thread_local: a file in a threading.local of the main thread
import threading
local = threading.local()
local.file = open("log", "w")
local.file.write("x\n")

# %% file_in_context_variable: a file in a ContextVar
import contextvars
variable = contextvars.ContextVar("file")
variable.set(open("log", "w"))
variable.get().write("x\n")

# %% file_in_generator: a file of a suspended generator
def lines():
    with open("log", "w") as file:
        while True:
            file.write((yield) + "\n")
writer = lines()
next(writer)
writer.send("x")

# %% file_in_coroutine: a file of a suspended coroutine
import types
@types.coroutine
def wait():
    yield
async def work():
    with open("log", "w") as file:
        file.write("x\n")
        await wait()
one = work()
one.send(None)

# %% file_in_traceback: a file of a frame that an exception keeps
def fail():
    file = open("log", "w")
    file.write("x\n")
    raise ValueError
try:
    fail()
except ValueError as error:
    kept = error

# %% file_in_uncaught_traceback: a file of the frame in which the program fails
# ends: 1
# stderr: ^ValueError$
def fail():
    file = open("log", "w")
    file.write("x\n")
    raise ValueError
fail()

# %% file_in_cache: a file in an lru_cache
import functools
@functools.lru_cache
def opened(name):
    return open(name, "w")
opened("log").write("x\n")

# %% file_in_partial: a file in a functools.partial
import functools
say = functools.partial(print, file=open("log", "w"))
say("x")

# %% file_in_sys: a file that module sys has
import sys
sys.log = open("log", "w")
sys.log.write("x\n")

# %% file_in_modules: a file in sys.modules
import sys
sys.modules["log"] = open("log", "w")
sys.modules["log"].write("x\n")

# %% file_in_type: a file that a class in a cycle has
class Log:
    file = open("log", "w")
    me = None
Log.me = Log
Log.file.write("x\n")

# %% file_in_weak_dictionary: a file that only a weak dictionary and a local name refer to
import weakref
files = weakref.WeakValueDictionary()
def keep():
    file = files["log"] = open("log", "w")
    file.write("x\n")
    return file
kept = keep()

# %% file_with_finalizer: weakref.finalize of a file
# stdout: ^False$
import weakref
file = open("log", "w")
file.write("x\n")
weakref.finalize(file, lambda: print(False))

# %% file_resurrected: a file that __del__ of its owner gives to a module
import sys
class Owner:
    def __init__(self):
        self.file = open("log", "w")
        self.file.write("x\n")
    def __del__(self, sys=sys):
        sys.file = self.file
owner = Owner()

# %% file_of_bound_method: a file by its write method only
write = open("log", "w").write
write("x\n")

# %% file_of_iterator: a file that an iterator reads, and another that it writes
reader = iter(open("program.py"))
writer = open("log", "w")
writer.write(next(reader))

# %% files_many: five hundred open files
# run: $PY program.py; cat logs/* | sort -n | tail -1; rm -r logs
# stdout: ^499$
import os
os.mkdir("logs")
files = [open(f"logs/{number}", "w") for number in range(500)]
for number, file in enumerate(files):
    file.write(f"{number}\n")

# %% file_line_buffered: buffering=1
file = open("log", "w", buffering=1)
file.write("one\ntwo")

# %% file_unbuffered: buffering=0
file = open("log", "wb", buffering=0)
file.write(b"x")

# %% file_read_and_written: r+ that was read first
file = open("log", "w+")
file.write("0123456789")
file.seek(2)
print(file.read(3), file=open("read", "w"))
file.seek(5)
file.write("xy")

# %% buffered_random: a BufferedRandom with both buffers in use
open("log", "wb").write(b"0123456789")
file = open("log", "r+b")
file.read(2)
file.write(b"xy")

# %% buffered_pair: a BufferedRWPair over a pipe
# stdout: ^b'x'$
import io, os, subprocess, sys
reader, writer = os.pipe()
os.set_inheritable(reader, True)
child = subprocess.Popen([sys.executable, "-c", f"import os; print(os.read({reader}, 10))"], close_fds=False)
pair = io.BufferedRWPair(io.FileIO(os.open("program.py", os.O_RDONLY)), io.FileIO(writer, "w"))
pair.write(b"x")
pair.flush()
child.wait()

# %% text_over_bytes: a TextIOWrapper over a BytesIO
import io
file = io.TextIOWrapper(io.BytesIO())
file.write("x")

# %% text_encodings: utf-16 and a byte order mark
file = open("log", "w", encoding="utf-16")
file.write("caf\u00e9\n")

# %% text_newlines: newline translation
file = open("log", "w", newline="\r\n")
file.write("one\ntwo\n")

# %% text_write_through: write_through over a buffer
import io
file = io.TextIOWrapper(open("log", "wb"), write_through=True)
file.write("x\n")

# %% text_in_pieces: more than a chunk of text
file = open("log", "w")
for number in range(5000):
    file.write(f"{number} ")

# %% text_detached: a text file without its buffer
file = open("log", "w")
file.write("x\n")
buffer = file.detach()

# %% buffer_detached: a buffer without its raw file
file = open("log", "wb")
file.write(b"x\n")
raw = file.detach()

# %% buffer_of_text_written_too: a text file and its buffer
file = open("log", "w")
file.buffer.write(b"first\n")
file.write("second\n")

# %% text_over_shared_buffer: two text files over one buffer
import io
buffer = open("log", "wb")
one, two = io.TextIOWrapper(buffer), io.TextIOWrapper(buffer)
one.write("one\n")
two.write("two\n")
one.flush(), two.flush()

# %% file_without_closing_descriptor: closefd=False
import os
descriptor = os.open("log", os.O_CREAT | os.O_WRONLY)
file = open(descriptor, "w", closefd=False)
file.write("x\n")

# %% file_with_own_opener: an opener
import os
file = open("log", "w", opener=lambda name, flags: os.open(name, flags, 0o600))
file.write("x\n")

# %% file_never_initialised: objects of io that __init__ never saw
# stdout: ^done$
import io
kept = [kind.__new__(kind) for kind in (io.FileIO, io.BufferedWriter, io.BufferedReader, io.BufferedRandom,
                                        io.BufferedRWPair, io.TextIOWrapper, io.StringIO, io.BytesIO)]
print("done")

# %% file_initialised_twice: open files that __init__ sees again
import io
file = io.TextIOWrapper(open("one", "wb"))
file.write("one\n")
file.flush()
file.__init__(open("two", "wb"))
file.write("two\n")

# %% file_init_fails: a wrapper whose __init__ failed
# stdout: ^LookupError$
import io
file = io.TextIOWrapper.__new__(io.TextIOWrapper)
try:
    file.__init__(open("log", "wb"), encoding="no such encoding")
except LookupError:
    print("LookupError")

# %% file_closed_twice: close, and close again in a callback
import atexit
file = open("log", "w")
file.write("x\n")
file.close()
atexit.register(file.close)

# %% file_closed_by_other_thread: a file that a thread closes late
import threading
file = open("log", "w")
file.write("main\n")
def work():
    threading.main_thread().join()
    file.write("thread\n")
    file.close()
threading.Thread(target=work).start()

# %% file_written_by_thread_late: a file that a thread writes after the last line
import threading
file = open("log", "w")
def work():
    threading.main_thread().join()
    file.write("thread\n")
threading.Thread(target=work).start()

# %% file_with_closed_that_fails: a class whose closed raises
import io
class Odd(io.RawIOBase):
    @property
    def closed(self):
        raise RuntimeError("no answer")
file = Odd()
del file

# %% file_class_in_python: a writer in Python that has flush and close
# stdout: ^close$
class Writer:
    def __init__(self):
        self.parts = []
    def write(self, text):
        self.parts.append(text)
    def close(self):
        print("close")
    def __del__(self):
        self.close()
writer = Writer()
writer.write("x")

# %% io_base_in_python: a subclass of IOBase whose close flushes
# stdout: ^flush\nclosed$
import io
class Base(io.IOBase):
    def flush(self, print=print):
        if not self.closed:
            print("flush")
    def close(self, print=print):
        super().close()
        print("closed")
base = Base()

# %% io_base_del_overridden: a subclass with a __del__ of its own
# stdout: ^__del__$
import io
class Base(io.FileIO):
    def __del__(self):
        print("__del__")
base = Base("log", "w")

# %% buffered_subclass_write: write of a BufferedWriter's subclass
# stdout: ^write 3$
import io
class Told(io.BufferedWriter):
    def write(self, data):
        print("write", len(data))
        return super().write(data)
file = Told(io.FileIO("log", "w"))
file.write(b"abc")

# %% text_subclass_write: a TextIOWrapper's subclass that adds a time to each line
class Stamped(__import__("io").TextIOWrapper):
    def write(self, text):
        return super().write(f"[time] {text}")
file = Stamped(open("log", "wb"))
file.write("x\n")

# %% codecs_open: codecs.open
import codecs
file = codecs.open("log", "w", "utf-8")
file.write("caf\u00e9\n")

# %% socket_text_file: a text file of a socket
# stdout: ^b'hello\\n'$
import socket
ours, theirs = socket.socketpair()
file = ours.makefile("w")
file.write("hello\n")
file.flush()
print(theirs.recv(10))

# %% popen_line_buffered: a child's input, line by line
# stdout: ^one\ntwo$
import subprocess
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, text=True, bufsize=1)
child.stdin.write("one\n")
child.stdin.write("two\n")
child.stdin.close()
child.wait()

# %% popen_input_not_closed: text in the buffer of a child's input
# stdout: ^parent\ntext$
import subprocess
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, text=True)
child.stdin.write("text\n")
print("parent", flush=True)

# %% file_on_terminal: an open file on /dev/tty
# terminal: yes
# stdout: from the file
file = open("/dev/tty", "w")
file.write("from the file\n")

# %% print_to_file: print(file=…)
file = open("log", "w")
print("x", 1, None, file=file)

# %% file_removed: an open file that is removed
import os
file = open("log", "w")
file.write("x\n")
os.remove("log")

# %% file_truncated_by_another: a file that is opened again for writing
file = open("log", "w")
file.write("x" * 100)
open("log", "w").close()

# %% file_seeked: a file whose position is moved before the end
file = open("log", "wb")
file.write(b"0123456789")
file.seek(3)
file.write(b"xy")
