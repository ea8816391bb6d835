"""fork, exec, subprocess and multiprocessing."""

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
# stderr: .?
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

# %% process_forked: multiprocessing by fork
# stdout: ^child\nparent 0$
import multiprocessing, sys
context = multiprocessing.get_context("fork")
child = context.Process(target=print, args=["child"])
child.start()
child.join()
print("parent", child.exitcode)

# %% process_forked_with_buffer: what stood in the buffer is the parent's
# stdout: ^before\nchild\nparent$|^child\nbefore\nparent$|^before\nparent$
import multiprocessing
context = multiprocessing.get_context("fork")
print("before")
child = context.Process(target=print, args=["child"])
child.start()
child.join()
print("parent")

# %% process_spawned: multiprocessing by spawn
# stdout: ^child\nparent 0$
import multiprocessing
def work():
    print("child")
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join()
    print("parent", child.exitcode)

# %% process_of_forkserver: multiprocessing by forkserver
# stdout: ^child\nparent 0$
import multiprocessing
def work():
    print("child")
if __name__ == "__main__":
    child = multiprocessing.get_context("forkserver").Process(target=work)
    child.start()
    child.join()
    print("parent", child.exitcode)

# %% process_raises: an exception in a child of multiprocessing
# stdout: ^1$
# stderr: ^Process ForkProcess-1:$
import multiprocessing
def work():
    raise ValueError("child")
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
print(child.exitcode)

# %% process_exits: exit codes of children of multiprocessing
# stdout: ^0 3 1 9 -15$
# stderr: ^text$
import multiprocessing, os, signal, sys
context = multiprocessing.get_context("fork")
def run(target, *arguments):
    child = context.Process(target=target, args=arguments)
    child.start()
    child.join()
    return child.exitcode
print(run(sys.exit), run(sys.exit, 3), run(sys.exit, "text"), run(os._exit, 9),
      run(lambda: os.kill(os.getpid(), signal.SIGTERM)))

# %% process_with_exit_callback: exit callbacks in a child of multiprocessing
# stdout: ^at exit of the parent$
import atexit, multiprocessing, os
parent = os.getpid()
atexit.register(lambda: print("at exit of the", "parent" if os.getpid() == parent else "child"))
child = multiprocessing.get_context("fork").Process(target=str)
child.start()
child.join()

# %% process_daemonic: a daemonic process is ended with its parent
# stdout: ^parent$
import multiprocessing, time
context = multiprocessing.get_context("fork")
started = context.Event()
def work():
    started.set()
    time.sleep(600)
context.Process(target=work, daemon=True).start()
started.wait()
print("parent")

# %% process_not_joined: a process is waited for at exit
# stdout: ^parent\nchild$
import multiprocessing
context = multiprocessing.get_context("fork")
go = context.Event()
def work():
    go.wait()
    print("child")
context.Process(target=work).start()
print("parent", flush=True)
go.set()

# %% process_with_thread: a thread in a child of multiprocessing
# stdout: ^thread of the child\nparent$
import multiprocessing, threading
def work():
    thread = threading.Thread(target=print, args=["thread of the child"])
    thread.start()
    thread.join()
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
print("parent")

# %% process_with_open_file: a file that a child of multiprocessing leaves open
# stdout: ^0$
import multiprocessing
def work():
    global file
    file = open("log", "w")
    file.write("not flushed by os._exit\n")
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
print(child.exitcode)

# %% pool_with_block: a Pool in a with block
# stdout: ^\[1, 4, 9\]$
import multiprocessing
def square(n):
    return n * n
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(square, [1, 2, 3]))

# %% pool_closed_and_joined: a Pool that is closed
# stdout: ^\[0, 1, 2\]$
import multiprocessing
def same(n):
    return n
pool = multiprocessing.get_context("fork").Pool(2)
print(list(pool.imap(same, range(3))))
pool.close()
pool.join()

# %% pool_not_closed: a Pool that nobody closes
# stdout: ^\[0, 1, 2\]$
import multiprocessing
pool = multiprocessing.get_context("fork").Pool(2)
print(pool.map(abs, range(3)))

# %% pool_not_closed_warns: a Pool that nobody closes, with -X dev
# argv: -X dev -W ignore::DeprecationWarning program.py
# stdout: ^\[0, 1, 2\]$
# stderr: ResourceWarning: unclosed running multiprocessing pool|.?
# normalise: address
import multiprocessing
pool = multiprocessing.get_context("fork").Pool(1)
print(pool.map(abs, range(3)))

# %% pool_spawned: a Pool of spawned processes
# stdout: ^\[1, 2\]$
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(abs, [-1, -2]))

# %% pool_of_threads: a ThreadPool that nobody closes
# stdout: ^\[1, 2\]$
from multiprocessing.pool import ThreadPool
pool = ThreadPool(2)
print(pool.map(abs, [-1, -2]))

# %% pool_task_fails: an exception in a Pool's task
# ends: 1
# stderr: ^multiprocessing.pool.RemoteTraceback
import multiprocessing
def fail(n):
    raise ValueError(n)
with multiprocessing.get_context("fork").Pool(1) as pool:
    pool.map(fail, [1])

# %% pool_interrupted: an interrupt beside a Pool
# ends: 3
# stdout: ^terminated$
import multiprocessing, os, signal, sys
def ignore():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
pool = multiprocessing.get_context("fork").Pool(2, ignore)
pool.map(abs, range(3))
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    pool.terminate()
    pool.join()
    print("terminated")
    sys.exit(3)

# %% queue_of_processes: a Queue between processes
# stdout: ^\[0, 1, 2\]$
import multiprocessing
context = multiprocessing.get_context("fork")
queue = context.Queue()
def work():
    for number in range(3):
        queue.put(number)
child = context.Process(target=work)
child.start()
print([queue.get() for _ in range(3)])
child.join()

# %% queue_not_emptied: a Queue whose text nobody gets
# stdout: ^main$
import multiprocessing
queue = multiprocessing.get_context("fork").Queue()
queue.put("nobody gets it")
print("main")

# %% queue_cancel_join: cancel_join_thread, and more than a pipe holds
# stdout: ^main$
import multiprocessing
queue = multiprocessing.get_context("fork").Queue()
queue.cancel_join_thread()
queue.put("x" * 1_000_000)
print("main")

# %% manager_not_shut_down: a Manager that nobody shuts down
# stdout: ^{'a': 1}$
import multiprocessing
if __name__ == "__main__":
    manager = multiprocessing.get_context("fork").Manager()
    shared = manager.dict()
    shared["a"] = 1
    print(shared)

# %% shared_memory_unlinked: shared memory, closed and unlinked
# stdout: ^b'text'$
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=10)
memory.buf[:4] = b"text"
print(bytes(memory.buf[:4]))
memory.close()
memory.unlink()

# %% shared_memory_leaked: shared memory that nobody unlinks
# stderr: resource_tracker: There appear to be 1 leaked shared_memory objects
# replace: /psm_[0-9a-f]{8} => /psm_NAME
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=10)

# %% shared_memory_with_view: a memory that is still exported as it dies
# stderr: cannot close exported pointers exist
# normalise: address
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=10)
view = memory.buf[2:4]
memory.unlink()

# %% semaphore_not_released: a Lock of multiprocessing that is held at exit
# stdout: ^main$
import multiprocessing
lock = multiprocessing.Lock()
lock.acquire()
print("main")

# %% pipe_of_processes: a Pipe whose other end is gone
# stdout: ^EOFError$
import multiprocessing
context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
def work():
    theirs.close()
child = context.Process(target=work)
child.start()
child.join()
theirs.close()
try:
    ours.recv()
except EOFError:
    print("EOFError")

# %% spawn_without_main_guard: what every newcomer does once
# ends: 1
# stderr: An attempt has been made to start a new process before the
import multiprocessing
child = multiprocessing.get_context("spawn").Process(target=print)
child.start()
child.join()
raise SystemExit(child.exitcode)

# %% wait_by_pidfd: a child waited for by its descriptor
# stdout: ^3$
import os, select
child = os.fork()
if not child:
    os._exit(3)
descriptor = os.pidfd_open(child)
select.select([descriptor], [], [])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
