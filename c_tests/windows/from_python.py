"""The DLL as a Python on Windows sees it, by ctypes: the finalization, the lock and pending reads at exit.

Each test is a process of its own, as in the C tests: this program once more, with the test's name."""

import atexit
import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import _winapi

DLL = ctypes.WinDLL(sys.argv[1], use_last_error=True)
HEADER = (Path(__file__).resolve().parents[2] / "include" / "rtfinalize.h").read_text(encoding="utf-8")
RT = {name: int(value) for name, value in re.findall(r"#define (RT_\w+) \(?(-?\d+)\)?\n", HEADER)}
DLL.rt_last_error.restype = ctypes.c_char_p
HANG_SECONDS = 60

# The last word of a test that came to its end.
HELD = "held"


def check(actual, expected):
    assert actual == expected, f"{actual!r}, expected {expected!r}; last error: {DLL.rt_last_error()}"


class Lock(ctypes.Structure):
    _fields_ = [("word", ctypes.c_uint64), ("runtime", ctypes.c_uint32), ("progress", ctypes.c_uint32)]

    def acquire(self, timeout_us=None):
        if timeout_us is None:
            return DLL.rt_buffered_lock_acquire(ctypes.byref(self))
        return DLL.rt_buffered_lock_acquire_timed(ctypes.byref(self), ctypes.c_int64(timeout_us))

    def release(self):
        return DLL.rt_buffered_lock_release(ctypes.byref(self))


class Request(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("kind", ctypes.c_uint32), ("flags", ctypes.c_uint32),
                ("handle", ctypes.c_void_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t),
                ("offset", ctypes.c_uint64), ("begin", ctypes.c_void_p), ("arg", ctypes.c_void_p)]


Call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
Wait = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)


class Callbacks(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("cancel", Call), ("wait", Wait), ("close", Call),
                ("free", Call), ("arg", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


def pipe():
    """Both ends of a pipe; the first is for overlapped operations."""
    name = rf"\\.\pipe\rtfinalize-python-{os.getpid()}-{pipe.count}"
    pipe.count += 1
    server = _winapi.CreateNamedPipe(name, _winapi.PIPE_ACCESS_DUPLEX | _winapi.FILE_FLAG_OVERLAPPED, 0, 1,
                                     4096, 4096, 0, 0)
    client = _winapi.CreateFile(name, _winapi.GENERIC_READ | _winapi.GENERIC_WRITE, 0, 0,
                                _winapi.OPEN_EXISTING, 0, 0)
    return server, client


pipe.count = 0


def start_read(handle, flags=0):
    request = Request(ctypes.sizeof(Request), RT["RT_OVERLAPPED_READ"], flags, handle, None, 64)
    operation = ctypes.c_void_p()
    check(DLL.rt_overlapped_start(None, ctypes.byref(request), b"python's read", ctypes.byref(operation)), 0)
    return operation


def process(name):
    """A process of its own for the function of this name; what it said."""
    command = [sys.executable, "-B", __file__, sys.argv[1], name]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=HANG_SECONDS)


def finalize_with_report():
    """What rt_finalize_ex answers, and the report."""
    path = os.path.join(tempfile.mkdtemp(), "report-\u00e9\u4e2d.json")
    check(DLL.rt_runtime_set_text(None, b"RTFINALIZE_REPORT", f"json:{path}".encode()), 0)
    answer = DLL.rt_finalize_ex()
    return answer, json.loads(Path(path).read_text(encoding="utf-8"))


def finalize_ex_answers_once_and_is_finalizing_tells():
    check(DLL.rt_is_finalizing(), 0)
    check(DLL.rt_finalize_ex(), 0)
    check(DLL.rt_is_finalizing(), 1)
    check(DLL.rt_finalize_ex(), 0)


def the_lock_is_waited_for_as_long_as_asked():
    lock, held, go_on = Lock(), threading.Event(), threading.Event()

    def hold():
        check(lock.acquire(), 0)
        held.set()
        go_on.wait()
        check(lock.release(), 0)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    check(lock.acquire(1000), RT["RT_ERR_TIMEOUT"])
    go_on.set()
    check(lock.acquire(), 0)
    check(lock.acquire(0), RT["RT_ERR_REENTRANT"])
    check(lock.release(), 0)
    thread.join()


def the_lock_of_a_thread_that_is_gone_is_taken_over():
    lock = Lock()
    thread = threading.Thread(target=lambda: check(lock.acquire(), 0))
    thread.start()
    thread.join()
    check(lock.acquire(1000), RT["RT_RECOVERED"])
    check(lock.release(), 0)


def a_pending_read_is_freed_at_exit():
    server, _ = pipe()
    operation = start_read(server)
    answer, report = finalize_with_report()
    check((answer, report["leaks"]), (0, []))
    check(DLL.rt_overlapped_dealloc(operation), 0)


def a_pending_read_that_cannot_be_cancelled_is_leaked_at_exit():
    server, client = pipe()
    operation = start_read(server, RT["RT_OVERLAPPED_NO_CANCEL"])
    answer, report = finalize_with_report()
    check(answer, 0)
    check([leak["name"] for leak in report["leaks"]], ["python's read"])
    ctypes.set_last_error(12345)
    check(DLL.rt_overlapped_dealloc(operation), RT["RT_LEAKED"])
    check(ctypes.get_last_error(), 12345)
    # The kernel still has it, and its memory is there.
    _winapi.WriteFile(client, b"late")


def python_s_own_pending_read_is_leaked_with_its_buffer():
    server, client = pipe()
    read, _ = _winapi.ReadFile(server, 64, overlapped=True)
    freed = []
    callbacks = Callbacks(ctypes.sizeof(Callbacks))
    callbacks.wait = Wait(lambda arg, us: int(
        _winapi.WaitForSingleObject(read.event, max(us, 0) // 1000) != _winapi.WAIT_OBJECT_0))
    callbacks.free = Call(lambda arg: freed.append(1) or 0)
    operation = ctypes.c_void_p()
    check(DLL.rt_overlapped_new(None, ctypes.byref(callbacks), b"an Overlapped", ctypes.byref(operation)), 0)
    answer, report = finalize_with_report()
    check((answer, [leak["name"] for leak in report["leaks"]]), (0, ["an Overlapped"]))
    check(DLL.rt_overlapped_dealloc(operation), RT["RT_LEAKED"])
    _winapi.WriteFile(client, b"late")
    check(read.GetOverlappedResult(True), (4, 0))
    check((bytes(read.getbuffer()), freed), (b"late", []))


def finalize_at_exit_with_a_pending_read():
    server, _ = pipe()
    start_read(server, RT["RT_OVERLAPPED_NO_CANCEL"])

    def finalize():
        answer, report = finalize_with_report()
        print(answer, [leak["name"] for leak in report["leaks"]])

    atexit.register(finalize)


def the_library_finalizes_at_python_s_exit():
    done = process(finalize_at_exit_with_a_pending_read.__name__)
    check((done.returncode, done.stdout, done.stderr), (0, f"{HELD}\n0 [\"python's read\"]\n", ""))


TESTS = [
    finalize_ex_answers_once_and_is_finalizing_tells,
    the_lock_is_waited_for_as_long_as_asked,
    the_lock_of_a_thread_that_is_gone_is_taken_over,
    a_pending_read_is_freed_at_exit,
    a_pending_read_that_cannot_be_cancelled_is_leaked_at_exit,
    python_s_own_pending_read_is_leaked_with_its_buffer,
    the_library_finalizes_at_python_s_exit,
]


def run(name):
    try:
        done = process(name)
    except subprocess.TimeoutExpired:
        return "hangs"
    if (done.returncode, done.stdout, done.stderr) == (0, f"{HELD}\n", ""):
        return None
    return f"exit code {done.returncode:#x}\n{done.stdout}{done.stderr}"


def main():
    if len(sys.argv) > 2:
        try:
            globals()[sys.argv[2]]()
            print(HELD)
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        return
    failed = 0
    for test in TESTS:
        wrong = run(test.__name__)
        failed += wrong is not None
        print(f"ok {test.__name__}" if wrong is None else f"FAILED {test.__name__}: {wrong}", flush=True)
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
