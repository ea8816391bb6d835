"""multiprocessing: processes, pools, queues, shared memory."""

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
# stderr: ResourceWarning: unclosed running multiprocessing pool
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
