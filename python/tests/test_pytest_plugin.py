"""`pytest --rtfinalize`: what is said of tests that leave something behind, and of those that do not."""

import sys
import pytest

# A thread that a test leaves behind ends with the process.
COMMON = """
import os, threading, pytest

def loiter():
    threading.main_thread().join()
"""


@pytest.fixture
def tests(pytester, monkeypatch):
    """Runs pytest on a file, in a process of its own."""
    for name in ("PYTHONUNBUFFERED", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def tests(source, *options, ini="rtfinalize_grace = 0.1", others="no:asyncio", first=""):
        pytester.makeini("[pytest]\n" + ini)
        pytester.makepyfile(test_it=COMMON + source)
        main = first + "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
        plugins = ("-p", "no:cacheprovider", "-p", others)
        return pytester.run(sys.executable, "-c", main, *plugins, *options, timeout=60)

    return tests


A_THREAD = """
def test_leaves():
    threading.Thread(target=loiter, name="loiterer", daemon=%s).start()

def test_after():
    pass
"""
WAITS = "waiting for thread 'MainThread' to end"


def test_off_by_default(tests):
    result = tests(A_THREAD % False)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*left behind*")


@pytest.mark.parametrize("daemon", [False, True])
def test_reports_a_thread(tests, daemon):
    result = tests(A_THREAD % daemon, "--rtfinalize", "test_it.py")
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    kind = "daemon thread" if daemon else "thread"
    result.stdout.fnmatch_lines(
        [
            "*rtfinalize: left behind*",
            "test_it.py::test_leaves: the test left behind:",
            "  %s 'loiterer', in loiter (*test_it.py:*), %s, started in test_leaves (*test_it.py:*)" % (kind, WAITS),
        ]
    )
    result.stdout.no_fnmatch_line("*test_after*")


def test_fails_for_a_thread(tests):
    result = tests(A_THREAD % True, "--rtfinalize=fail")
    assert result.ret == 1
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaves*",
            "the test left behind:",
            "  daemon thread 'loiterer', in loiter (*), %s, started in test_leaves (*" % WAITS,
        ]
    )


def test_a_thread_that_ends_in_time(tests):
    result = tests(
        """
end = threading.Event()
def test_leaves():
    threading.Thread(target=end.wait, args=(0.05,)).start()
""",
        "--rtfinalize=fail",
        ini="rtfinalize_grace = 20",
    )
    result.assert_outcomes(passed=1)


def test_a_file_with_unwritten_bytes(tests):
    result = tests(
        """
kept = []
def test_leaves(tmp_path):
    kept.append(open("out.txt", "w"))
    kept[0].write("four")

def test_binary():
    kept.append(open("out.bin", "wb"))
    kept[1].write(b"12345")

def test_flushed():
    kept.append(open("flushed", "w"))
    kept[2].write("x")
    kept[2].flush()

def test_closed():
    with open("closed", "w") as file:
        file.write("x")
    kept.append(file)

def test_writes_to_one_of_another_test():
    kept[2].write("x")

def test_garbage():
    cycle = [open("garbage", "w")]
    cycle.append(cycle)
    cycle[0].write("x")
""",
        "--rtfinalize=fail",
    )
    result.assert_outcomes(passed=6, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaves*",
            "  out.txt: bytes not written: 4",
            "*ERROR at teardown of test_binary*",
            "  out.bin: bytes not written: 5",
        ]
    )


def test_a_guard(tests):
    result = tests(
        """
import rtfinalize
kept = []
def test_leaves():
    kept.append(rtfinalize.Guard("camera"))

def test_closes():
    with rtfinalize.Guard("other"):
        pass
    kept[0].close()
""",
        "--rtfinalize=fail",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["  guard 'camera' is open, opened in test_leaves (*test_it.py:*)"])


def test_ignored_names(tests):
    result = tests(
        A_THREAD % True
        + """
kept = []
def test_file():
    kept.append(open("out.log", "w"))
    kept[0].write("four")
""",
        "--rtfinalize=fail",
        ini="rtfinalize_grace = 0\nrtfinalize_ignore_threads =\n  other\n  loit*\nrtfinalize_ignore_files = *.log",
    )
    result.assert_outcomes(passed=3)


def test_a_test_that_fails_keeps_its_files_in_the_traceback(tests):
    result = tests(
        """
def test_fails():
    file = open("out.txt", "w")
    file.write("four")
    assert False
""",
        "--rtfinalize=fail",
    )
    result.assert_outcomes(failed=1)


FIXTURES = """
class Worker:
    def __init__(self, name):
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.end.wait, name=name, daemon=True)
        self.thread.start()
    def close(self):
        self.end.set()
        self.thread.join()

@pytest.fixture(scope="%s")
def worker():
    worker = Worker("of the fixture")
    yield worker
    %s

def test_one(worker):
    pass

def test_two(worker):
    pass
"""


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_a_fixture_that_cleans_up(tests, scope):
    result = tests(FIXTURES % (scope, "worker.close()"), "--rtfinalize=fail")
    result.assert_outcomes(passed=2)


def test_a_fixture_of_wider_scope_that_does_not(tests):
    result = tests(FIXTURES % ("module", "pass"), "--rtfinalize=fail")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_two*",
            "fixture 'worker' of the module left behind:",
            "  daemon thread 'of the fixture', in *, started in *__init__ (*",
        ]
    )


def test_a_pool_of_a_fixture_that_starts_its_workers_in_a_test(tests):
    result = tests(
        """
from concurrent.futures import ThreadPoolExecutor

@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool

def test_uses(pool):
    pool.submit(int).result()

own = []
def test_leaves():
    own.append(ThreadPoolExecutor(1, "own"))
    own[0].submit(int).result()
""",
        "--rtfinalize=fail",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_leaves*", "  *thread 'own_0', waiting for work, started in test_leaves (*"]
    )


def test_a_thread_that_is_started_by_the_thread_of_a_fixture(tests):
    result = tests(
        """
import socketserver, socket

@pytest.fixture(scope="session")
def server():
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"x")
            self.request.recv(1)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()

@pytest.fixture(scope="session")
def client(server):
    with socket.socket() as client:
        yield client

def test_uses(server, client):
    client.connect(server.server_address)
    assert client.recv(1) == b"x"
""",
        "--rtfinalize=fail",
    )
    result.assert_outcomes(passed=1)


def test_unittest(tests):
    result = tests(
        """
import unittest

class TestIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.end = threading.Event()
        cls.thread = threading.Thread(target=cls.end.wait)
        cls.thread.start()
    @classmethod
    def tearDownClass(cls):
        cls.end.set()
        cls.thread.join()
    def test_one(self):
        pass
    def test_two(self):
        threading.Thread(target=loiter, name="loiterer").start()
""",
        "--rtfinalize=fail",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of TestIt.test_two*"])


def test_a_wrong_grace(tests):
    result = tests("", "--rtfinalize", ini="rtfinalize_grace = soon")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: rtfinalize_grace is 'soon'; it takes seconds"])


def test_a_wrong_mode(tests):
    result = tests("", "--rtfinalize=never")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_no_warning_where_the_package_is_imported_before(tests):
    result = tests("def test_it(): pass", "-W", "error", first="import rtfinalize; ")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*Warning*")


# ---- beside other plugins ----


def test_with_xdist(tests):
    pytest.importorskip("xdist")
    result = tests(A_THREAD % True, "--rtfinalize", "-n2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_it.py::test_leaves: the test left behind:", "  daemon thread 'loiterer', in *"])
    result = tests(A_THREAD % True, "--rtfinalize=fail", "-n2")
    result.assert_outcomes(passed=2, errors=1)


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_with_asyncio(tests, scope):
    pytest.importorskip("pytest_asyncio")
    result = tests(
        """
import asyncio

@pytest.mark.asyncio(loop_scope="%s")
async def test_uses_the_default_pool():
    await asyncio.get_running_loop().run_in_executor(None, int)

@pytest.mark.asyncio(loop_scope="%s")
async def test_leaves():
    threading.Thread(target=loiter, name="loiterer", daemon=True).start()
"""
        % (scope, scope),
        "--rtfinalize=fail",
        ini="rtfinalize_grace = 0.5\nasyncio_default_fixture_loop_scope = function",
        others="asyncio",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaves*"])
