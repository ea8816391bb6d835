"""fork, exec and subprocess."""

# %% fork_child_ends_normally: os.fork, and both reach their last line
# sorted: stdout
# stdout: ^child\nparent 0$
import os
child = os.fork()
if child:
    print("parent", os.waitpid(child, 0)[1])
else:
    print("child")

# %% fork_with_text_in_buffer: what stands in the buffer is written by both
# stdout: ^before\nchild\nbefore\nparent$
import os
print("before")
child = os.fork()
if child:
    os.waitpid(child, 0)
print("parent" if child else "child")

# %% fork_child_uses_os_exit: os._exit in the child writes nothing
# stdout: ^before\nparent 3$
import os
print("before")
child = os.fork()
if not child:
    os._exit(3)
print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# %% fork_child_uses_sys_exit: sys.exit in the child runs exit callbacks
# stdout: ^at exit child\nparent 4\nat exit parent$
import atexit, os, sys
who = "parent"
atexit.register(lambda: print("at exit", who))
child = os.fork()
if not child:
    who = "child"
    sys.exit(4)
print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# %% fork_child_raises: an exception in the child
# stdout: ^parent 1$
# stderr: ^ValueError: child$
import os
child = os.fork()
if not child:
    raise ValueError("child")
print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# %% fork_with_open_file: an open text file is written by both
import os
file = open("log", "w")
file.write("before\n")
child = os.fork()
if child:
    os.waitpid(child, 0)
file.write("parent\n" if child else "child\n")

# %% fork_beside_thread: a fork beside a thread that runs; the child has it no more
# stdout: ^child 1\nparent 0$
# stderr: DeprecationWarning: This process .* is multi-threaded
# replace: pid=\d+ => pid=PID
import os, threading
go = threading.Event()
threading.Thread(target=go.wait).start()
child = os.fork()
if not child:
    print("child", threading.active_count())
else:
    print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    go.set()

# %% fork_beside_daemon: a fork beside a daemon thread
# stdout: ^child\nparent 0$
# argv: -W ignore program.py
import os, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
child = os.fork()
if not child:
    print("child")
else:
    print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# %% fork_in_thread: a thread forks; the child ends with the thread, and writes no buffer
# stdout: ^parent 0$
# argv: -W ignore program.py
import os, threading
def work():
    child = os.fork()
    if not child:
        print("child")
    else:
        print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
threading.Thread(target=work).start()

# %% fork_in_exit_callback: os.fork in an exit callback
# stdout: ^child\nparent$
import atexit, os
@atexit.register
def late():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print("parent")
    else:
        print("child", flush=True)
        os._exit(0)

# %% fork_in_del: os.fork in __del__ as the program ends
# stderr: PythonFinalizationError: can't fork at interpreter shutdown
# normalise: address
import os
class Last:
    def __del__(self, fork=os.fork, wait=os.waitpid, end=os._exit):
        child = fork()
        if not child:
            end(0)
        wait(child, 0)
last = Last()

# %% fork_handlers: os.register_at_fork
# stdout: ^before\nin child\nin parent$
import os
os.register_at_fork(before=lambda: print("before", flush=True), after_in_child=lambda: print("in child", flush=True))
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
print("in parent")

# %% fork_daemonises: the double fork of a daemon
# run: $PY program.py; until [ -s done ]; do sleep 0.01; done; cat done
# stdout: ^daemon$
import os
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
with open("done.new", "w") as file:
    file.write("daemon\n")
os.rename("done.new", "done")

# %% fork_of_fork: a grandchild
# stdout: ^0\n1\n2\n3$
import os
for level in range(3):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print(2 - level + 1)
        break
else:
    print(0)

# %% fork_while_parent_ends_first: a child that outlives its parent
# stdout: ^parent\nchild$
import os
reader, writer = os.pipe()
if os.fork():
    os.close(reader)
    print("parent", flush=True)
else:
    os.close(writer)
    os.read(reader, 1)
    print("child")

# %% forkpty_child: os.forkpty
# stdout: ^child ended by 2: b'on a terminal
import os
child, master = os.forkpty()
if not child:
    print("on a terminal")
    raise SystemExit(2)
parts = b""
try:
    while part := os.read(master, 100):
        parts += part
except OSError:
    pass
print(f"child ended by {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}: {parts}")

# %% exec_another_program: os.execvp runs no exit callback and writes no buffer
# stdout: ^from echo$
import atexit, os
atexit.register(print, "never")
print("lost")
os.execvp("echo", ["echo", "from echo"])

# %% exec_itself: os.execv of the same interpreter
# stdout: ^again$
# ends: 7
import os, sys
if len(sys.argv) == 1:
    os.execv(sys.executable, [sys.executable, __file__, "again"])
print("again")
sys.exit(7)

# %% exec_fails: exec of a program that is not there
# ends: 1
# stdout: ^before$
# stderr: ^FileNotFoundError
import os
print("before")
os.execv("/no/such/program", ["program"])

# %% exec_beside_thread: exec while a thread runs
# stdout: ^replaced$
import os, threading
threading.Thread(target=threading.Event().wait).start()
os.execvp("echo", ["echo", "replaced"])

# %% posix_spawn: os.posix_spawn
# stdout: ^ended by 3$
import os, sys
child = os.posix_spawn(sys.executable, [sys.executable, "-c", "raise SystemExit(3)"], os.environ)
print("ended by", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# %% subprocess_run: subprocess.run with output
# stdout: ^0 'hello\\n'$
import subprocess, sys
done = subprocess.run([sys.executable, "-c", "print('hello')"], capture_output=True, text=True)
print(done.returncode, repr(done.stdout))

# %% subprocess_check_fails: CalledProcessError
# ends: 1
# stderr: returned non-zero exit status 5
import subprocess, sys
subprocess.run([sys.executable, "-c", "raise SystemExit(5)"], check=True)

# %% subprocess_still_running: a child that is still running, and a ResourceWarning
# argv: -W default program.py
# stderr: ResourceWarning: subprocess \d+ is still running
# replace: subprocess \d+ => subprocess N
import subprocess
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
del child

# %% subprocess_running_at_exit: a child that is still running as the program ends
# stdout: ^parent$
import subprocess
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
print("parent")

# %% subprocess_timeout: TimeoutExpired
# ends: 1
# stderr: ^subprocess.TimeoutExpired
import subprocess
subprocess.run(["sleep", "60"], timeout=0.1)

# %% subprocess_pipeline: two children and a pipe between them
# stdout: ^1000$
import subprocess, sys
first = subprocess.Popen([sys.executable, "-c", "for n in range(1000): print(n)"], stdout=subprocess.PIPE)
second = subprocess.Popen(["wc", "-l"], stdin=first.stdout)
first.stdout.close()
first.wait(), second.wait()

# %% subprocess_writes_to_dead_child: a child that reads nothing
# ends: 0
# stderr: BrokenPipeError
# normalise: address
import subprocess
child = subprocess.Popen(["true"], stdin=subprocess.PIPE)
child.wait()
child.stdin.write(b"lost")

# %% os_system: os.system
# stdout: ^from the shell\nended by 3$
import os
print("ended by", os.waitstatus_to_exitcode(os.system("echo from the shell; exit 3")))

# %% popen_read: os.popen
# stdout: ^'text\\n' None$
import os
pipe = os.popen("echo text")
print(repr(pipe.read()), pipe.close())

# %% preexec_fn: subprocess with preexec_fn
# stdout: ^in the child\n?[\s\S]*0$
import os, subprocess
print(subprocess.run(["true"], preexec_fn=lambda: os.write(1, b"in the child\n")).returncode)

# %% wait_by_pidfd: a child waited for by its descriptor
# stdout: ^3$
import os, select
child = os.fork()
if not child:
    os._exit(3)
descriptor = os.pidfd_open(child)
select.select([descriptor], [], [])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# %% fork_with_file_of_thread: a file that only a thread of the parent refers to is none of the child's business
# argv: -W ignore program.py
import os, sys, threading
ready, go = threading.Event(), threading.Event()
def work():
    with open("text", "w") as text, open("bytes", "wb") as binary:
        text.write("text one\n")
        binary.write(b"bytes one\n")
        ready.set()
        go.wait()
        text.write("text two\n")
        binary.write(b"bytes two\n")
thread = threading.Thread(target=work)
thread.start()
ready.wait()
child = os.fork()
if child == 0:
    sys.exit(0)
os.waitpid(child, 0)
go.set()
thread.join()

# %% fork_closes_all_descriptors: a daemon closes all descriptors and opens its own; the parent's records stay out
# argv: -W ignore program.py
import os, sys, threading
ready, go = threading.Event(), threading.Event()
def work():
    with open("text", "w") as text:
        text.write("of the parent\n")
        ready.set()
        go.wait()
thread = threading.Thread(target=work)
thread.start()
ready.wait()
child = os.fork()
if child == 0:
    os.closerange(3, 64)
    data = [open("data", "a") for _ in range(8)]
    sys.exit(0)
os.waitpid(child, 0)
go.set()
thread.join()

# %% no_new_thread_allowed: a filter that kills who makes a thread or a process
# stdout: ^answer$
import ctypes, platform, struct
numbers = {"x86_64": (56, 435), "aarch64": (220, 435)}.get(platform.machine())
def step(code, jump_true, jump_false, value):
    return struct.pack("HBBI", code, jump_true, jump_false, value)
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_void_p)]
if numbers:
    # Load the number of the system call; compare; allow, or kill the process.
    rules = step(0x20, 0, 0, 0) + step(0x15, 2, 0, numbers[0]) + step(0x15, 1, 0, numbers[1])
    rules += step(0x06, 0, 0, 0x7FFF0000) + step(0x06, 0, 0, 0x80000000)
    text = ctypes.create_string_buffer(rules)
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Filter(len(rules) // 8, ctypes.addressof(text))), 0, 0) == 0
print("answer")
