"""What a person reads where a deadline cut something short: one line that says what it was, and where."""

import json
import sys
import pytest

CUT = "rtfinalize: 'main': cut short at the deadline: "

# From 3.14 on a thread does not say which lock it sleeps for; nor does a free-threaded 3.13, of a plain lock.
KNOWS_LOCKS = sys.version_info < (3, 14)
KNOWS_PLAIN_LOCKS = KNOWS_LOCKS and getattr(sys, "_is_gil_enabled", lambda: True)()


def line_of(err):
    (line,) = [line for line in err.splitlines() if line.startswith(CUT)]
    return line[len(CUT) :]


def test_names_the_work_of_a_pool_that_does_not_return(run):
    code, out, err = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        def fetch(url):
            threading.Event().wait()
        def main():
            ThreadPoolExecutor(2, thread_name_prefix="pool").submit(fetch, "somewhere")
        main()
        """,
        ["--deadline", "2s"],
    )
    assert code == 120
    line = line_of(err)
    assert line.startswith("waiting for thread 'pool_0', in fetch (") and ", waiting for an Event, working on fetch (" in line
    assert ", started in main (" in line


WAITS = {
    "threading.Event().wait()": "waiting for an Event",
    "threading.Semaphore(0).acquire()": "waiting for a Semaphore",
    "threading.Barrier(2).wait()": "waiting for a Barrier",
    "queue.Queue().get()": "waiting for something in a Queue",
    "full.put(2)": "waiting for room in a Queue",
    "full.join()": "waiting for a Queue to be worked off",
    "concurrent.futures.Future().result()": "waiting for a Future",
}


@pytest.mark.parametrize("call", WAITS)
def test_names_what_an_exit_callback_waits_for(run, call):
    code, out, err = run(
        """
        import atexit, concurrent.futures, queue
        full = queue.Queue(1)
        full.put(1)
        def close():
            %s
        atexit.register(close)
        """
        % call,
        ["--deadline", "2s"],
    )
    assert code == 120
    line = line_of(err)
    assert line.startswith("an exit callback, in close (") and WAITS[call] in line


HELD = """
import atexit
class Store:
    def __init__(self, lock):
        self._lock = lock
    def close(self):
        with self._lock:
            pass
store = Store(%s)
go_on = threading.Event()
def hog():
    with store._lock:
        go_on.set()
        os.read(os.pipe()[0], 1)
threading.Thread(target=hog, name="hog", daemon=True).start()
go_on.wait()
atexit.register(%s)
"""


def test_names_the_lock_that_an_exit_callback_waits_for(run):
    code, out, err = run(HELD % ("threading.Lock()", "store.close"), ["--deadline", "2s"])
    assert code == 120
    line = line_of(err)
    assert line.startswith("an exit callback, in ") and "close (" in line
    assert line.endswith("waiting for the lock 'self._lock'" if KNOWS_PLAIN_LOCKS else "waiting for a lock")


def test_names_the_holder_of_a_lock_that_knows_it(run):
    code, out, err = run(HELD % ("threading.RLock()", "store.close"), ["--deadline", "2s"])
    assert code == 120
    words = "waiting for the lock 'self._lock', which daemon thread 'hog' holds"
    assert line_of(err).endswith(words if KNOWS_LOCKS else "waiting for a lock")


def test_says_that_a_callback_is_not_python(run):
    code, out, err = run(HELD % ("threading.Lock()", "store._lock.acquire"), ["--deadline", "2s"])
    assert code == 120
    assert line_of(err) == "an exit callback, in a function that is not written in Python, waiting for a lock"


def test_a_callback_at_work_waits_for_nothing(run):
    code, out, err = run(
        """
        import atexit
        def spin():
            while True:
                pass
        threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
        atexit.register(spin)
        """,
        ["--deadline", "2s"],
    )
    assert code == 120
    line = line_of(err)
    assert line.startswith("an exit callback, in spin (") and line.endswith(")")


def test_says_nothing_where_the_time_suffices(run):
    code, out, err = run("import atexit; atexit.register(print, 'done')", ["--deadline", "20s"])
    assert (code, out, err) == (0, "done\n", "")

def test_names_the_thread_that_an_exit_callback_joins(run):
    code, out, err = run(
        """
        import atexit
        never = threading.Event()
        def work():
            never.wait()
        worker = threading.Thread(target=work, name="worker", daemon=True)
        worker.start()
        def stop():
            worker.join()
        atexit.register(stop)
        """,
        ["--deadline", "1s", "--report", "text"],
    )
    assert code == 120
    said = " ".join(err.split())
    assert "in stop (" in said and "waiting for daemon thread 'worker', in work (" in said


def test_names_the_worker_of_a_pool_that_a_daemon_thread_uses(run):
    code, out, err = run(
        """
        import concurrent.futures
        never, is_working = threading.Event(), threading.Event()
        def work():
            is_working.set()
            never.wait()
        def serve():
            concurrent.futures.ThreadPoolExecutor(thread_name_prefix="pool").submit(work)
        threading.Thread(target=serve, daemon=True).start()
        is_working.wait()
        """,
        ["--deadline", "1s", "--report", "text"],
    )
    assert code == 120
    said = " ".join(err.split())
    assert "waiting for daemon thread 'pool_0', in work (" in said and "working on work (" in said


ENDLESS = """
import atexit
def never_ends():
    while True:
        try:
            %s
        except KeyboardInterrupt:
            pass
journal = os.open("journal", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def record(name):
    file = open(name, "a")
    for count in range(10**9):
        line = "%%s %%d\\n" %% (name, count)
        file.write(line)
        os.write(journal, line.encode())
atexit.register(never_ends)
"""


@pytest.mark.parametrize("source", [
    # Daemon threads write on while the end is stuck.
    ENDLESS % "time.sleep(600)" + "for name in 'abc': threading.Thread(target=record, args=(name,), daemon=True).start()\n"
    "while os.fstat(journal).st_size < 1000: pass",
    # So does what the end is stuck in.
    ENDLESS % "record('a')",
], ids=["threads", "callback"])
def test_what_is_written_until_the_process_is_ended_arrives_or_is_counted(run, tmp_path, source):
    code, out, err = run(source, ["--deadline", "500ms", "--report", "json:report.json"])
    assert code == 120
    accepted = (tmp_path / "journal").read_text().splitlines()
    arrived = {line for file in tmp_path.glob("[abc]") for line in file.read_text().splitlines()}
    lost = sum(len(line) + 1 for line in accepted if line not in arrived)
    counted = json.loads((tmp_path / "report.json").read_text())["missing_bytes"]
    assert lost <= counted, (lost, counted)
