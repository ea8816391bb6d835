"""Standard streams that are closed, full, slow, or not what they were."""

# %% stdout_closed: started without standard output
# run: exec $PY program.py >&-
# stderr: ^None$
import sys
print("nobody hears")
print(sys.stdout, file=sys.stderr)

# %% stderr_closed: started without standard error
# run: exec $PY program.py 2>&-
# ends: 1
# stdout: ^fine$
print("fine")
raise ValueError("nobody hears")

# %% stdin_closed: started without standard input
# run: exec $PY program.py <&-
# stdout: ^None$
import sys
print(sys.stdin)

# %% all_streams_closed: started without any
# run: $PY program.py <&- >&- 2>&-; echo $?
# stdout: ^5$
import sys
print("x")
sys.exit(5)

# %% file_gets_descriptor_of_stderr: a data file opened as descriptor 2
# run: $PY program.py 2>&-; cat data
# stdout: ^text$
data = open("data", "w")
assert data.fileno() == 2, data.fileno()
data.write("text\n")

# %% stdout_full: no space for standard output
# run: exec $PY program.py >/dev/full
# ends: 120
# stderr: No space left on device
print("lost")

# %% stdout_full_unbuffered: -u and no space
# run: exec $PY -u program.py >/dev/full
# ends: 1
# stderr: No space left on device
print("lost")

# %% stdout_full_flushed: print(flush=True) and no space
# run: exec $PY program.py >/dev/full
# ends: 120
# stderr: No space left on device
print("lost", flush=True)

# %% stdout_full_and_caught: the failure is caught; the text is still in the buffer
# run: exec $PY program.py >/dev/full
# ends: 120
# stderr: No space left on device
try:
    print("lost", flush=True)
except OSError:
    pass

# %% stdout_full_and_own_code: no space, and a code of the script's own
# run: exec $PY program.py >/dev/full
# ends: 120
# stderr: No space left on device
import sys
print("lost")
sys.exit(3)

# %% stdout_full_and_exception: no space, and a traceback
# run: exec $PY program.py >/dev/full
# ends: 120
# stderr: ZeroDivisionError[\s\S]*No space left on device
print("lost")
1 / 0

# %% stdout_full_many_lines: more than a buffer, and no space
# run: exec $PY program.py >/dev/full
# ends: 1
# stderr: No space left on device
for number in range(10000):
    print("line", number)

# %% stderr_full: no space for standard error
# run: exec $PY program.py 2>/dev/full
# ends: 120
# stdout: ^fine$
print("fine")
raise ValueError("nobody hears")

# %% stderr_full_and_text_exit: sys.exit("text") and no space
# run: exec $PY program.py 2>/dev/full
# ends: 120
import sys
sys.exit("nobody hears")

# %% both_streams_full: no space for either
# run: $PY program.py >/dev/full 2>/dev/full; echo $?
# stdout: ^120$
import sys
print("lost")
sys.stderr.write("lost")

# %% stdout_is_input: standard output was opened for reading
# run: exec $PY program.py 1<program.py
# ends: 120
# stderr: Bad file descriptor
print("lost")

# %% head_takes_ten_lines: a reader that leaves while the writer writes
# run: $PY program.py | head -3; echo "${PIPESTATUS[@]}"
# stdout: ^1 0$
# stderr: BrokenPipeError
import select, sys
for number in range(3):
    print("line", number)
sys.stdout.flush()
poll = select.poll()
poll.register(1, select.POLLERR)
poll.poll()
for number in range(1000000):
    print("line", number)

# %% head_leaves_before_the_end: a reader that left, and the text is still in the buffer
# run: $PY program.py | head -c 0; echo "${PIPESTATUS[@]}"
# stdout: ^120 0$
# stderr: BrokenPipeError
import select, sys
poll = select.poll()
poll.register(1, select.POLLERR)
poll.poll()
print("one line")

# %% head_and_broken_pipe_caught: as CPython's documentation says to do it
# run: $PY program.py | head -1; echo "${PIPESTATUS[@]}"
# stdout: ^1 0$
import os, sys
try:
    for number in range(1000000):
        print("line", number)
    sys.stdout.flush()
except BrokenPipeError:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    sys.exit(1)

# %% reader_that_is_slow: a pager that pauses for longer than a second
# run: $PY program.py | (sleep 1.5; tail -n 1); echo "${PIPESTATUS[@]}"
# stdout: ^line 39999\n0 0$
for number in range(40000):
    print("line", number)

# %% reader_that_is_slow_at_exit: a pager that pauses while the last text is written
# run: $PY program.py | (sleep 1.5; tr -d x | wc -c); echo "${PIPESTATUS[@]}"
# stdout: ^4096\n0 0$
import os, sys
os.set_blocking(1, False)
try:
    while os.write(1, b"x" * 4096):
        pass
except BlockingIOError:
    os.set_blocking(1, True)
sys.stdout.write("y" * 4096)

# %% reader_of_stderr_that_is_slow: the same with standard error
# run: $PY program.py 2>&1 >/dev/null | (sleep 1.5; wc -c); echo "${PIPESTATUS[@]}"
# stdout: ^100000\n0 0$
import sys
sys.stderr.write("x" * 100000)

# %% reader_that_leaves_late: a pager that pauses and then leaves
# run: $PY program.py | (sleep 1.5; true); echo "${PIPESTATUS[@]}"
# stdout: ^120 0$
# stderr: BrokenPipeError
import os, sys
os.set_blocking(1, False)
try:
    while os.write(1, b"x" * 4096):
        pass
except BlockingIOError:
    os.set_blocking(1, True)
sys.stdout.write("y" * 100)

# %% nonblocking_stdout_full: a pipe without room that does not block
# run: $PY program.py | (sleep 0.5; wc -c); echo "${PIPESTATUS[0]}"
# stdout: ^1 *$|^[1-9]
# stderr: BlockingIOError
import os, sys
os.set_blocking(1, False)
sys.stdout.write("x" * 200000)
sys.stdout.flush()

# %% nonblocking_stdout_never_read: the same, and the reader waits for the program's end
# stdout: ^ended by 120$
import os, subprocess, sys
reader, writer = os.pipe()
os.set_blocking(writer, False)
text = "import sys; sys.stdout.write('x' * 65536); sys.stdout.flush(); sys.stdout.write('y' * 8000)"
child = subprocess.Popen([sys.executable, "-c", text], stdout=writer, stderr=subprocess.DEVNULL)
try:
    print("ended by", child.wait(10))
except subprocess.TimeoutExpired:
    print("still runs")
    child.kill()

# %% tee_beside_it: through tee into a file
# run: $PY program.py | tee copy | wc -l
# stdout: ^1000$
for number in range(1000):
    print("line", number)

# %% stdout_and_stderr_into_one_pipe: the order of both streams in one pipe
# run: $PY program.py 2>&1 | cat
# stdout: ^err 2\nout 0\nout 1\nout 2$
import sys
for number in range(3):
    print("out", number)
    print("err", number, file=sys.stderr)

# %% stdout_and_stderr_into_one_file: the order of both in one file
# run: $PY program.py >log 2>&1; cat log
# stdout: ^out\nTraceback[\s\S]*ZeroDivisionError: division by zero$
import sys
print("out")
1 / 0

# %% stdout_appended_to_file: >> to a file that has text
# run: echo one >log; $PY program.py >>log; cat log
# stdout: ^one\ntwo$
print("two")

# %% stdout_is_terminal: a terminal gets each line as it comes
# terminal: yes
# stdout: out 1\r\nerr\r\nout 2
import sys
print("out 1")
print("err", file=sys.stderr)
print("out 2")

# %% terminal_with_traceback: an exception on a terminal
# terminal: yes
# ends: 1
# stdout: division by zero
1 / 0

# %% terminal_input: input() on a terminal
# terminal: yes
# stdin: 'Ada\n'
# stdout: hello Ada
name = input("name? ")
print("hello", name)

# %% terminal_end_of_file: control-D on a terminal
# terminal: yes
# stdin: '\x04'
# ends: 1
# stdout: EOFError
input("name? ")

# %% input_at_end_of_file: input() without input
# ends: 1
# stdout: ^name\? $
# stderr: ^EOFError
input("name? ")

# %% stdin_half_read: input that nobody reads to its end
# run: seq 1 100000 | $PY program.py; echo "${PIPESTATUS[1]}"
# stdout: ^first 1\n0$
import sys
print("first", sys.stdin.readline().strip())

# %% stdin_iterated: a filter
# run: seq 1 1000 | $PY program.py | tail -1
# stdout: ^2000$
import sys
for line in sys.stdin:
    print(int(line) * 2)

# %% stdin_undecodable: bytes that are no text
# run: printf '\xff\xfe' | $PY program.py
# set: LC_ALL=C.UTF-8
# set: PYTHONIOENCODING=utf-8:strict
# ends: 1
# stderr: ^UnicodeDecodeError
import sys
sys.stdin.read()

# %% stdout_unencodable: text that standard output cannot encode
# set: PYTHONIOENCODING=ascii
# ends: 1
# stdout: ^before$
# stderr: ^UnicodeEncodeError
print("before")
print("caf\u00e9")

# %% stdout_closed_by_program: sys.stdout.close()
# stdout: ^before$
import sys
print("before")
sys.stdout.close()

# %% print_after_close: print to a closed stream
# ends: 1
# stdout: ^before$
# stderr: I/O operation on closed file
import sys
print("before")
sys.stdout.close()
print("after")

# %% stderr_closed_by_program: sys.stderr.close() and an exception
# ends: 1
# stderr: ^lost sys.stderr$
# normalise: address
import sys
sys.stderr.close()
1 / 0

# %% descriptor_one_closed_by_program: os.close(1) under a buffer
# ends: 120
# stderr: Bad file descriptor
import os
print("lost")
os.close(1)

# %% descriptor_one_closed_while_empty: os.close(1) with nothing to write
import os
os.close(1)

# %% stdout_replaced_by_stringio: sys.stdout is a StringIO as it ends
import io, sys
sys.stdout = io.StringIO()
print("swallowed")

# %% stdout_replaced_by_file: sys.stdout is a file that nobody closes
import sys
sys.stdout = open("out", "w")
print("into the file")

# %% stdout_replaced_by_none: sys.stdout is None
import sys
sys.stdout = None
print("nowhere")

# %% stdout_replaced_by_tee: an object that writes to two places
# stdout: ^both$
import sys
class Tee:
    def __init__(self, *files):
        self.files = files
    def write(self, text):
        for file in self.files:
            file.write(text)
    def flush(self):
        for file in self.files:
            file.flush()
sys.stdout = Tee(sys.__stdout__, open("copy", "w"))
print("both")

# %% stdout_without_flush: an object that has write and nothing else
# ends: 120
# stdout: ^<text>$
# stderr: has no attribute 'flush'
import sys
class Writer:
    def write(self, text):
        sys.__stdout__.write(f"<{text}>\n" if text.strip() else "")
sys.stdout = Writer()
print("text")

# %% stdout_whose_flush_fails: an object whose flush raises
# ends: 120
# stderr: RuntimeError: no flush
import sys
class Broken:
    def write(self, text):
        pass
    def flush(self):
        raise RuntimeError("no flush")
sys.stdout = Broken()
print("text")

# %% stdout_wrapped_again: another TextIOWrapper over the same buffer
# stdout: ^one\ntwo$
import io, sys
print("one")
sys.stdout.flush()
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1", write_through=True)
print("two")

# %% stdout_detached: sys.stdout.detach()
# ends: 120
# stdout: ^raw$
# stderr: underlying buffer has been detached
import sys
raw = sys.stdout.detach()
raw.write(b"raw\n")

# %% stdout_detached_and_dropped: detached, and the buffer is collected
# stdout: ^raw$
import sys
raw = sys.stdout.detach()
sys.stdout = sys.__stdout__ = None
raw.write(b"raw\n")
del raw

# %% stdout_reconfigured: line buffering and another end of line
# stdout: ^one\r\ntwo\r\n
import sys
sys.stdout.reconfigure(line_buffering=True, newline="\r\n")
print("one")
print("two")

# %% stdout_opened_twice: open(1) beside sys.stdout
# stdout: ^second\nfirst$
import sys
print("first")
other = open(1, "w", closefd=False)
other.write("second\n")
other.flush()

# %% stdout_opened_and_closed_by_descriptor: open(1) takes the descriptor with it
# ends: 120
# stdout: ^second$
# stderr: Bad file descriptor
print("first")
with open(1, "w") as other:
    other.write("second\n")

# %% descriptors_swapped: os.dup2 under sys.stdout
# stdout: ^to stdout$
import os, sys
print("to stdout", flush=True)
os.dup2(os.open("file", os.O_CREAT | os.O_WRONLY), 1)
print("to the file")

# %% redirect_stdout_at_exit: contextlib.redirect_stdout that is never left
# stdout: ^seen$
import contextlib, io
print("seen")
contextlib.redirect_stdout(io.StringIO()).__enter__()
print("not seen")

# %% binary_and_text_mixed: sys.stdout and sys.stdout.buffer
# stdout: ^bytes\ntext$
import sys
print("text")
sys.stdout.buffer.write(b"bytes\n")

# %% stdout_is_dev_null: > /dev/null
# run: exec $PY program.py >/dev/null
for number in range(100000):
    print(number)

# %% stdout_is_fifo: a named pipe
# run: mkfifo fifo; $PY program.py >fifo & cat fifo; wait $!; rm fifo
# stdout: ^through the pipe$
print("through the pipe")

# %% stdout_is_socket: a socket as standard output
# stdout: ^child ended by 0: b'over the wire\\n'$
import socket, subprocess, sys
ours, theirs = socket.socketpair()
child = subprocess.Popen([sys.executable, "-c", "print('over the wire')"], stdout=theirs)
theirs.close()
print(f"child ended by {child.wait()}: {ours.recv(100)}")

# %% stdout_is_closed_socket: a socket whose other end is gone
# stdout: ^child ended by 120$
# stderr: BrokenPipeError
import socket, subprocess, sys
ours, theirs = socket.socketpair()
ours.close()
child = subprocess.Popen([sys.executable, "-c", "print('lost')"], stdout=theirs)
theirs.close()
print(f"child ended by {child.wait()}")

# %% long_last_line: one line larger than a pipe
# run: $PY program.py | wc -c
# stdout: ^1000001$
print("x" * 1000000)

# %% stderr_without_newline: half a line on standard error
# stderr: ^half$
import sys
sys.stderr.write("half")

# %% print_in_loop_with_flush: progress in one line
# stdout: 100
for number in range(101):
    print("\r", number, end="", flush=True)
