"""Threads and executors that are there as the program ends."""

# %% thread_joined: a thread that was joined
# stdout: ^worker\nmain$
import threading
worker = threading.Thread(target=print, args=["worker"])
worker.start()
worker.join()
print("main")

# %% thread_not_joined: a thread that goes on after the last line
# stdout: ^main is over\nworker is over$
import threading
def work():
    threading.main_thread().join()
    print("main is over\nworker is over")
threading.Thread(target=work).start()

# %% thread_raises: an exception in a thread
# stderr: ^Exception in thread worker:$
import threading
def work():
    raise ValueError("in a thread")
threading.Thread(target=work, name="worker").start()

# %% thread_raises_as_main_ends: an exception in a thread, after the last line
# stderr: ^Exception in thread worker:$
import threading
def work():
    threading.main_thread().join()
    raise ValueError("late")
threading.Thread(target=work, name="worker").start()

# %% thread_raises_system_exit: SystemExit ends the thread and nothing else
# stdout: ^main$
import sys, threading
worker = threading.Thread(target=sys.exit, args=[3])
worker.start()
worker.join()
print("main")

# %% thread_raises_system_exit_with_text: the text of it is nowhere
import sys, threading
worker = threading.Thread(target=sys.exit, args=["text"])
worker.start()
worker.join()

# %% thread_calls_os_exit: os._exit in a thread
# ends: 6
import os, threading, time
threading.Thread(target=os._exit, args=[6]).start()
time.sleep(30)

# %% thread_interrupts_main: _thread.interrupt_main
# ends: SIGINT
# stderr: ^KeyboardInterrupt
import _thread, threading, time
threading.Thread(target=_thread.interrupt_main).start()
while True:
    time.sleep(0.01)

# %% main_raises_while_thread_runs: an exception of the main thread beside a worker
# ends: 1
# stdout: ^worker is over$
# stderr: ^ValueError: main$
import threading
def work():
    threading.main_thread().join()
    print("worker is over")
threading.Thread(target=work).start()
raise ValueError("main")

# %% main_exits_while_thread_runs: sys.exit waits for a worker
# ends: 4
# stdout: ^worker is over$
import sys, threading
def work():
    threading.main_thread().join()
    print("worker is over")
threading.Thread(target=work).start()
sys.exit(4)

# %% thread_starts_thread_at_exit: a thread that starts another one late
# ends: 0
# stdout: ^second$
import threading
def first():
    second = threading.Thread(target=print, args=["second"])
    second.start()
threading.Thread(target=first).start()

# %% thread_started_after_main_ended: a thread cannot be started while threads are waited for
# stdout: ^started$
import threading
def first():
    threading.main_thread().join()
    try:
        threading.Thread(target=print, args=["started"]).start()
    except RuntimeError as error:
        print(error)
threading.Thread(target=first).start()

# %% thread_started_in_exit_callback: a thread started in an exit callback
# stdout: ^late$
import atexit, threading
@atexit.register
def late():
    threading.Thread(target=print, args=["late"]).start()

# %% daemon_asleep: a daemon thread that sleeps
# stdout: ^main$
import threading, time
threading.Thread(target=time.sleep, args=[3600], daemon=True).start()
print("main")

# %% daemon_waits_for_event: a daemon thread that waits
# stdout: ^main$
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("main")

# %% daemon_waits_for_queue: a daemon thread that waits for work
# stdout: ^worked 1\nworked 2\nmain$
import queue, threading
work = queue.Queue()
def worker():
    while True:
        print("worked", work.get())
        work.task_done()
threading.Thread(target=worker, daemon=True).start()
work.put(1)
work.put(2)
work.join()
print("main")

# %% daemon_busy: a daemon thread that counts
# stdout: ^main$
import threading
def count():
    number = 0
    while True:
        number += 1
threading.Thread(target=count, daemon=True).start()
print("main")

# %% daemon_reads_pipe: a daemon thread that waits for input that never comes
# stdout: ^main$
import os, threading
reader, writer = os.pipe()
threading.Thread(target=os.read, args=[reader, 1], daemon=True).start()
print("main")

# %% daemon_accepts: a daemon thread that waits for connections
# stdout: ^main$
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=server.accept, daemon=True).start()
print("main")

# %% daemon_in_subprocess_wait: a daemon thread that waits for a child
# stdout: ^main$
import subprocess, threading
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
threading.Thread(target=child.wait, daemon=True).start()
print("main")

# %% daemon_finally_does_not_run: the finally clause of a daemon thread
# stdout: ^main$
import threading
started = threading.Event()
def work():
    try:
        started.set()
        threading.Event().wait()
    finally:
        print("never")
threading.Thread(target=work, daemon=True).start()
started.wait()
print("main")

# %% many_threads: a hundred threads that end late
# stdout: ^100$
import threading
count, lock = [], threading.Lock()
def work(number):
    threading.main_thread().join()
    with lock:
        count.append(number)
        if len(count) == 100:
            print(len(count))
for number in range(100):
    threading.Thread(target=work, args=[number]).start()

# %% many_daemons: a hundred daemon threads that wait
# stdout: ^101$
import threading
for number in range(100):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(threading.active_count())

# %% timer_pending: a threading.Timer is waited for
# stdout: ^main\nlater$
import threading
threading.Timer(0.1, print, ["later"]).start()
print("main")

# %% timer_cancelled: a timer that was cancelled
# stdout: ^main$
import threading
timer = threading.Timer(3600, print, ["later"])
timer.start()
timer.cancel()
print("main")

# %% lock_held_at_exit: a lock that nobody gives back
# stdout: ^main$
import threading
lock = threading.Lock()
lock.acquire()
print("main")

# %% threading_excepthook: threading.excepthook replaced
# stdout: ^worker ValueError bad$
import threading
threading.excepthook = lambda told: print(told.thread.name, told.exc_type.__name__, told.exc_value)
def work():
    raise ValueError("bad")
threading.Thread(target=work, name="worker").start()

# %% threading_excepthook_raises: a threading.excepthook that fails
# stderr: Exception in threading.excepthook
import threading
def hook(told):
    raise RuntimeError("hook")
threading.excepthook = hook
def work():
    raise ValueError("bad")
worker = threading.Thread(target=work, name="worker")
worker.start()
worker.join()

# %% thread_local_at_exit: values of threading.local die with their thread
# stdout: ^gone worker\nmain\ngone main$
import threading
class Value:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("gone", self.name)
local = threading.local()
def work():
    local.value = Value("worker")
worker = threading.Thread(target=work)
worker.start()
worker.join()
local.value = Value("main")
print("main")

# %% dummy_thread: a thread of the _thread module
# stdout: ^low$
import _thread, threading
done = threading.Lock()
done.acquire()
def work():
    print("low")
    done.release()
_thread.start_new_thread(work, ())
done.acquire()

# %% low_level_thread_raises: an exception in a thread of the _thread module
# stderr: Exception ignored in thread started by
# normalise: address
import _thread, time
started = []
def work():
    started.append(True)
    raise ValueError("low")
_thread.start_new_thread(work, ())
while not started or _thread._count():
    time.sleep(0.01)

# %% executor_with_block: a thread pool in a with block
# stdout: ^\[0, 1, 4\]$
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool:
    print(list(pool.map(lambda n: n * n, range(3))))

# %% executor_not_shut_down: a thread pool that nobody shuts down
# stdout: ^main\ndone 0\ndone 1\ndone 2$
import threading
from concurrent.futures import ThreadPoolExecutor
go = threading.Event()
def work(number):
    go.wait()
    print("done", number)
pool = ThreadPoolExecutor(1)
for number in range(3):
    pool.submit(work, number)
print("main")
go.set()

# %% executor_with_exception: a failure of a pool that nobody asks for
# stdout: ^main$
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
pool.submit(lambda: 1 / 0)
print("main")

# %% executor_result_raises: a failure of a pool that is asked for
# ends: 1
# stderr: ^ZeroDivisionError
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    pool.submit(lambda: 1 / 0).result()

# %% executor_submits_at_exit: work that submits work as the program ends
# stderr: cannot schedule new futures after
# stdout: ^ran$
import concurrent.futures.thread, sys, time
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
def work():
    while not concurrent.futures.thread._shutdown:
        time.sleep(0.01)
    print("ran")
    try:
        pool.submit(print, "more")
    except RuntimeError as error:
        print(error, file=sys.stderr)
pool.submit(work)

# %% executor_cancelled: shutdown(cancel_futures=True) and an exit code
# ends: 5
# stdout: ^started\ncancelled 3$
import sys, threading
from concurrent.futures import ThreadPoolExecutor
pool, started, go = ThreadPoolExecutor(1), threading.Event(), threading.Event()
def work():
    print("started")
    started.set()
    go.wait()
first = pool.submit(work)
others = [pool.submit(print, "never") for _ in range(3)]
started.wait()
pool.shutdown(wait=False, cancel_futures=True)
print("cancelled", sum(other.cancelled() for other in others))
go.set()
sys.exit(5)

# %% executor_and_sys_exit_in_task: SystemExit in a pool's task
# ends: 3
# stdout: ^task asked for 3$
import sys
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    try:
        pool.submit(sys.exit, 3).result()
    except SystemExit as asked:
        print("task asked for", asked.code)
        sys.exit(asked.code)

# %% process_executor: a pool of processes
# stdout: ^\[1, 2, 3\]$
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        print(list(pool.map(abs, [-1, -2, -3])))

# %% process_executor_not_shut_down: a pool of processes that nobody shuts down
# stdout: ^3$
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    pool = ProcessPoolExecutor(2)
    print(pool.submit(abs, -3).result())

# %% process_executor_broken: a worker that is gone
# stdout: ^BrokenProcessPool$
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        try:
            pool.submit(os._exit, 3).result()
        except BrokenProcessPool:
            print("BrokenProcessPool")

# %% process_executor_spawned: a pool of spawned processes
# stdout: ^5$
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        print(pool.submit(abs, -5).result())

# %% socketserver_in_daemon: a server of socketserver in a daemon thread
# stdout: ^b'HI'$
import socket, socketserver, threading
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().strip().upper())
server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.create_connection(server.server_address) as wire:
    wire.sendall(b"hi\n")
    print(wire.makefile("rb").read())

# %% http_server_in_daemon: http.server in a daemon thread
# stdout: ^200 b'hello'$
# stderr: "GET / HTTP/1.1" 200
# replace: \[\d\d/\w+/\d{4} [\d:]+\] => [TIME]
import http.client, http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = http.client.HTTPConnection(*server.server_address)
client.request("GET", "/")
answer = client.getresponse()
print(answer.status, answer.read())

# %% http_server_interrupted: python -m http.server, ended by control-C
# stdout: ^ended by 0: \nKeyboard interrupt received, exiting.$
import signal, subprocess, sys, urllib.request
server = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
address = server.stdout.readline().split("(")[1].split(")")[0]
urllib.request.urlopen(address).read()
server.send_signal(signal.SIGINT)
print(f"ended by {server.wait()}:", server.stdout.read())

# %% scheduler_pending: sched with nothing left to do
# stdout: ^a\nb$
import sched
plan = sched.scheduler()
plan.enter(0.02, 1, print, ["b"])
plan.enter(0.01, 1, print, ["a"])
plan.run()
