"""`concurrent.futures`: pools that nobody has shut down as the program ends."""

import os
import time
import pytest


def test_queued_work_of_a_global_pool_is_done(same):
    source = """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        go_on = threading.Event()
        def work(number):
            go_on.wait()
            print(number)
        for number in range(5):
            pool.submit(work, number)
        threading.Thread(target=lambda: (wait_for_shutdown(), go_on.set())).start()
        print("end")
        """
    assert same(source) == (0, "end\n0\n1\n2\n3\n4\n", "")


def test_a_worker_that_never_returns_is_named_by_what_was_submitted(run):
    source = """
        import functools
        from concurrent.futures import ThreadPoolExecutor
        class Event(threading.Event):
            pass
        def crunch(name):
            threading.Event().wait()
        pool = ThreadPoolExecutor(1, "pool")
        pool.submit(functools.partial(crunch, "a"))
        """
    code, out, err = run(source, ["--deadline", "500ms"])
    assert (code, out) == (120, "")
    assert "cut short at the deadline: waiting for thread 'pool_0', in crunch (" in err
    assert "working on crunch (" in err


def test_a_pool_of_a_daemon_thread_does_its_work(same, tmp_path):
    source = """
        from concurrent.futures import ThreadPoolExecutor
        submitted = threading.Event()
        def work(number):
            with open("%d" % number, "w") as file:
                file.write("of the pool\\n")
        def submit():
            pool = ThreadPoolExecutor(1)
            for number in range(20):
                pool.submit(work, number)
            submitted.set()
            threading.Event().wait()
        threading.Thread(target=submit, daemon=True).start()
        submitted.wait()
        """
    assert same(source) == (0, "", "")
    assert [(tmp_path / str(number)).read_text() for number in range(20)] == ["of the pool\n"] * 20


def test_a_callback_that_submits_too_late_has_the_same_error(same):
    source = """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        def again(future):
            try:
                pool.submit(print, "again")
            except RuntimeError as error:
                print(error)
        def work():
            wait_for_shutdown()
            return 1
        pool.submit(work).add_done_callback(again)
        """
    assert same(source) == (0, "cannot schedule new futures after interpreter shutdown\n", "")


PROCESSES = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def forever():
    os.write(1, b"process %d\\n" % os.getpid())
    time.sleep(600)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_that_is_left_open_ends_as_without_the_package(same, method):
    source = PROCESSES + """
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context(%r))
    print(list(pool.map(abs, [-1, -2])), flush=True)
""" % method
    assert same(source, ("-W", "ignore::DeprecationWarning")) == (0, "[1, 2]\n", "")


def has_ended(process):
    """Whether nothing of it is left, or only its exit code, for which init has not asked yet."""
    try:
        with open("/proc/%d/stat" % process) as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_no_worker_outlives_a_pool_of_processes_at_the_deadline(start, method):
    """Without the package the program waits for good, and if it is killed, its workers live on."""
    program = start(PROCESSES + """
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context(%r))
    pool.submit(forever)
""" % method, ["--deadline", "1s"], ("-W", "ignore::DeprecationWarning"))
    worker = int(program.prints("process ").split()[1])
    code, out, err = program.end()
    assert code == 120
    until = time.monotonic() + 20
    while not has_ended(worker) and time.monotonic() < until:
        time.sleep(0.01)
    assert has_ended(worker)


def test_a_process_that_is_no_worker_is_left_running_and_named(start):
    program = start(PROCESSES + """
if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=forever, name="long").start()
""", ["--deadline", "500ms"])
    process = int(program.prints("process ").split()[1])
    # It has the pipes, too.
    said = program.complains("'long', is left running")
    try:
        assert "rtfinalize: process %d, 'long', is left running\n" % process in said
        assert not has_ended(process)
    finally:
        os.kill(process, 9)
    assert program.end()[0] == 120
