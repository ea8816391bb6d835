"""Services and test runners: gunicorn, uvicorn, celery, billiard, pytest."""

# %% gunicorn_ended_by_sigterm: a gunicorn with two workers that receives SIGTERM
# needs: gunicorn
# stdout: ^b'hello' 0$
# stderr: Shutting down: Master
# sorted: stderr
# replace: \[\d\d\d\d-\d\d-\d\d [^\]]*\] \[\d+\] => [TIME] [PID]
# replace: pid: \d+|\(\d{2,}\)|:\d{4,5} => N
import signal, subprocess, sys, time, urllib.request
import socket
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen([sys.executable, "-m", "gunicorn", "-w", "2", "--no-control-socket", "-b", f"127.0.0.1:{port}", "app:app"])
for _ in range(400):
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}").read()
        break
    except OSError:
        time.sleep(0.05)
time.sleep(0.5)
server.send_signal(signal.SIGTERM)
print(answer, server.wait())
# --- app.py
def app(environment, start):
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]

# %% gunicorn_application_missing: a gunicorn whose application is not there
# needs: gunicorn
# argv: -m gunicorn -w 1 -b 127.0.0.1:0 nothing:app
# ends: 3
# stderr: Reason: Worker failed to boot
# sorted: stderr
# replace: \[\d\d\d\d-\d\d-\d\d [^\]]*\] \[\d+\] => [TIME] [PID]
# replace: pid: ?\d+|pid:\d+|\(\d{2,}\)|:\d{4,5} => N

# %% uvicorn_interrupted: uvicorn is interrupted
# needs: uvicorn
# stdout: ^b'hello' (0|-2)$
# stderr: Finished server process
# replace: \[\d+\]|:\d{4,5} => N
import signal, socket, subprocess, sys, time, urllib.request
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen([sys.executable, "-m", "uvicorn", "--port", str(port), "--no-access-log", "app:app"])
for _ in range(400):
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}").read()
        break
    except OSError:
        time.sleep(0.05)
server.send_signal(signal.SIGINT)
print(answer, server.wait())
# --- app.py
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

# %% uvicorn_in_thread: uvicorn in a daemon thread
# needs: uvicorn
# stdout: ^b'hello'$
import threading, time, urllib.request
import uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]
print(urllib.request.urlopen(f"http://127.0.0.1:{port}").read())

# %% celery_task_called: a task of celery that is called in place
# needs: celery
# stdout: ^5$
import celery
app = celery.Celery("app", broker="memory://", backend="cache+memory://")
app.conf.task_always_eager = True
@app.task
def add(a, b):
    return a + b
print(add.delay(2, 3).get())

# %% celery_worker_in_thread: celery's worker for tests
# needs: celery
# stdout: ^5$
# argv: -W ignore program.py
import celery
from celery.contrib.testing.worker import start_worker
app = celery.Celery("app", broker="memory://", backend="cache+memory://")
app.conf.worker_hijack_root_logger = False
@app.task
def add(a, b):
    return a + b
with start_worker(app, perform_ping_check=False, loglevel="CRITICAL"):
    print(add.delay(2, 3).get(timeout=10))

# %% billiard_pool: billiard's pool of processes
# needs: billiard
# stdout: ^\[1, 2, 3\]$
import billiard
if __name__ == "__main__":
    pool = billiard.Pool(2)
    print(pool.map(abs, [-1, -2, -3]))
    pool.close()
    pool.join()

# %% billiard_pool_left: billiard's pool, and nobody closes it
# needs: billiard
# stdout: ^\[1, 2, 3\]$
import billiard
if __name__ == "__main__":
    pool = billiard.Pool(2)
    print(pool.map(abs, [-1, -2, -3]))

# %% pytest_passes: pytest
# needs: pytest
# argv: -m pytest -q -p no:cacheprovider -p no:xdist test_it.py
# stdout: 2 passed
# normalise: seconds
# --- test_it.py
def test_one():
    print("captured")
def test_two(tmp_path):
    (tmp_path / "file").write_text("x")

# %% pytest_fails: pytest, and a test that fails
# needs: pytest
# argv: -m pytest -q -p no:cacheprovider -p no:xdist test_it.py
# ends: 1
# stdout: 1 failed, 1 passed
# normalise: seconds
# --- test_it.py
def test_one():
    print("shown")
    assert [1] == [2]
def test_two():
    pass

# %% pytest_thread_and_warnings: pytest tells of a thread that failed
# needs: pytest
# argv: -m pytest -q -p no:cacheprovider -p no:xdist test_it.py
# stdout: PytestUnhandledThreadExceptionWarning
# normalise: seconds, address
# --- test_it.py
import threading
def test_thread():
    def fail():
        raise ValueError("in a thread")
    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()

# %% pytest_interrupted: pytest, and an interrupt
# needs: pytest
# argv: -m pytest -q -p no:cacheprovider -p no:xdist test_it.py
# ends: 2
# stdout: KeyboardInterrupt
# normalise: seconds
# --- test_it.py
import signal
def test_one():
    signal.raise_signal(signal.SIGINT)
    for _ in range(100):
        pass

# %% pytest_xdist_passes: pytest with two workers
# needs: pytest-xdist
# argv: -m pytest -q -p no:cacheprovider -n 2 test_it.py
# stdout: 4 passed
# normalise: seconds
# --- test_it.py
import pytest
@pytest.mark.parametrize("number", range(4))
def test_number(number):
    assert number < 4

# %% pytest_xdist_worker_crashes: pytest with a worker that ends
# needs: pytest-xdist
# argv: -m pytest -q -p no:cacheprovider -n 1 test_it.py
# ends: 1
# stdout: worker 'gw0' crashed while running
# normalise: seconds
# --- test_it.py
import os
def test_crash():
    os._exit(3)
