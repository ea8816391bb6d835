"""`rtfinalize.dump()`: what a person reads who asks why a program is still running."""

import signal
import pytest


def line_of(text, number):
    """The line of the program (`app.py`) that has this mark."""
    from conftest import PRELUDE

    return PRELUDE.count("\n") + next(at for at, line in enumerate(text.splitlines(), 1) if number in line)


WAITING = """
rtfinalize.install()
go_on = threading.Event()
def fetch():
    go_on.wait()  # is here
def main():
    threading.Thread(target=fetch, name="fetcher").start()  # starts
    threading.Thread(target=fetch, name="helper", daemon=True).start()
main()
says("'fetcher'", "in fetch")
says("'helper'", "in fetch")
rtfinalize.dump()
go_on.set()
"""


def test_names_every_thread_its_place_and_its_start(run):
    code, out, err = run(WAITING)
    assert code == 0
    lines = err.splitlines()
    assert lines[0].startswith("rtfinalize: process ") and lines[0].endswith(" is running:")
    assert lines[1].startswith("  thread 'MainThread', in <module> (")
    is_here, starts = line_of(WAITING, "# is here"), line_of(WAITING, "# starts")
    assert lines[2].startswith("  thread 'fetcher', in fetch (") and "app.py:%d), waiting for an Event, started in main (" % is_here in lines[2]
    assert lines[2].endswith("app.py:%d)" % starts)
    assert lines[3].startswith("  daemon thread 'helper', in fetch (")


def test_the_thread_that_asks_is_in_what_asked(run):
    code, out, err = run("import atexit; rtfinalize.install(); atexit.register(rtfinalize.dump)")
    assert (code, out) == (0, "")
    assert "thread 'MainThread', in dump (" in err


def test_the_start_is_unknown_without_install(run):
    code, out, err = run(WAITING.replace("rtfinalize.install()", ""))
    assert code == 0
    assert "thread 'fetcher', in fetch (" in err
    assert "started in" not in err


def test_says_nothing_unasked(run):
    assert run("rtfinalize.install(); threading.Thread(target=print, args=('done',)).start()") == (0, "done\n", "")


def test_names_system_call_and_descriptor(run):
    code, out, err = run(
        """
        r, w = os.pipe()
        thread = threading.Thread(target=lambda: os.read(r, 1), name="reader")
        thread.start()
        print(says("'reader'", "in read of descriptor %d (pipe:[" % r))
        # The one that asks is in no call that a person knows of.
        print("in read" in next(line for line in said().splitlines() if "MainThread" in line))
        os.write(w, b"x")
        """
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "False"


def test_names_the_holder_of_a_lock_and_who_waits_for_it(run):
    code, out, err = run(
        """
        r, w = os.pipe()
        file = open(w, "wb")
        threading.Thread(target=lambda: (file.write(b"x" * 200000), file.flush()), name="writer").start()
        says("'writer'", "in write of descriptor")
        threading.Thread(target=lambda: file.write(b"y"), name="other").start()
        if sys.version_info < (3, 14):
            says("'other'", "waits for the lock of descriptor %d, which thread 'writer' holds" % w)
        print(says("'writer'", "holds the lock of descriptor %d" % w))
        left = 200000
        while left > 0:
            left -= len(os.read(r, 65536))
        """
    )
    assert (code, err) == (0, "")


def test_names_the_thread_that_one_waits_for(run):
    code, out, err = run(
        """
        go_on = threading.Event()
        worker = threading.Thread(target=go_on.wait, name="worker")
        worker.start()
        threading.Thread(target=worker.join, name="waiter").start()
        says("thread 'waiter', ", ", waiting for thread 'worker' to end")
        says("thread 'worker', ", ", waiting for an Event")
        go_on.set()
        """
    )
    assert (code, out, err) == (0, "", "")


def test_names_the_work_of_a_pool(run):
    code, out, err = run(
        """
        import asyncio, concurrent.futures, contextvars, functools
        rtfinalize.install()
        go_on = threading.Event()
        def crunch(*_):
            go_on.wait()
        pool = concurrent.futures.ThreadPoolExecutor(4, "pool")
        pool.submit(crunch, 1)  # submits
        pool.submit(functools.partial(crunch, 1))
        r, w = os.pipe()
        pool.submit(functools.partial(os.read, r, 1))
        pool.submit(len, "").result()
        more = concurrent.futures.ThreadPoolExecutor(1, "more")
        more.submit(contextvars.copy_context().run, functools.partial(crunch, 1))
        says("'more_0'", "in crunch", "working on crunch (")
        line = says("'pool_0'", "in crunch", "working on crunch (", "started in <module>")
        print(line[line.rindex("app.py:"):])
        says("'pool_1'", "in crunch", "working on crunch (")
        says("'pool_2'", "in read of descriptor %d (" % r, ", working on read, started")
        says("'pool_3', waiting for work, started in <module>")
        if hasattr(asyncio, "to_thread"):
            async def main():
                task = asyncio.ensure_future(asyncio.to_thread(crunch))
                await asyncio.sleep(0)
                says("'asyncio_0'", "in crunch", "working on crunch (")
                go_on.set()
                await task
            asyncio.run(main())
        go_on.set()
        os.write(w, b"x")
        print("all")
        """
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["all"]


def test_a_dump_keeps_no_work_alive(run):
    code, out, err = run(
        """
        import concurrent.futures, weakref
        class Work:
            def __call__(self):
                go_on.wait()
        go_on = threading.Event()
        pool = concurrent.futures.ThreadPoolExecutor(1, "pool")
        work = Work()
        future, gone = pool.submit(work), threading.Event()
        weakref.finalize(work, gone.set)
        says("'pool_0'", "working on Work")
        del work
        go_on.set()
        future.result()
        del future
        print(gone.wait(5))
        """
    )
    assert (code, out, err) == (0, "True\n", "")


def test_start_stays_what_it_is(run):
    code, out, err = run(
        """
        import traceback
        start, signature = threading.Thread.start, []
        def of_a_second_start():
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
            try:
                thread.start()
            except RuntimeError:
                return traceback.format_exc()
        before = of_a_second_start()
        rtfinalize.install()
        print(of_a_second_start() == before, threading.Thread.start is start)
        """
    )
    assert (code, out, err) == (0, "True True\n", "")


@pytest.mark.parametrize("replaces", ["class", "wraps"])
def test_an_override_of_start_is_not_the_place(run, replaces):
    source = """
        import functools
        rtfinalize.install()
        class Mine(threading.Thread):
            if %r == "class":
                def start(self):
                    super().start()
        if %r == "wraps":
            original = threading.Thread.start
            @functools.wraps(original)
            def patched(self, *args):
                return original(self, *args)
            threading.Thread.start = patched
        go_on = threading.Event()
        def main():
            Mine(target=go_on.wait, name="mine").start()
        main()
        print(says("'mine'", "started in main ("))
        go_on.set()
        """
    code, out, err = run(source % (replaces, replaces))
    assert (code, err) == (0, "")


def test_a_thread_that_threading_does_not_know(run):
    code, out, err = run(
        """
        import _thread
        lock = _thread.allocate_lock()
        lock.acquire()
        def low():
            with lock:
                pass
        ident = _thread.start_new_thread(low, ())
        says("thread %d, in low (" % ident)
        lock.release()
        """
    )
    assert (code, err) == (0, "")


def test_counts_exit_callbacks(run):
    code, out, err = run("import atexit; atexit.register(int); atexit.register(int); says('  2 exit callbacks')")
    assert (code, err) == (0, "")


def test_does_not_wait_for_the_lock_of_stderr(start):
    program = start(
        """
        r, w = os.pipe()
        kept = os.dup(2)
        os.dup2(w, 2)
        threading.Thread(target=lambda: sys.stderr.buffer.write(b"x" * 200000), daemon=True, name="stuck").start()
        says("'stuck'", "in write of descriptor 2", "holds the lock of <stderr>")
        os.dup2(kept, 2)
        rtfinalize.dump()
        os._exit(0)
        """
    )
    code, out, err = program.end()
    assert code == 0
    assert "daemon thread 'stuck'" in err and "holds the lock of <stderr>" in err


def test_names_cannot_forge_lines(run):
    code, out, err = run(
        """
        go_on = threading.Event()
        threading.Thread(target=go_on.wait, name="a\\nrtfinalize: b\\x1b[2J").start()
        print(said().count("\\n"), "a?rtfinalize: b?[2J" in said())
        go_on.set()
        """
    )
    assert (code, out, err) == (0, "3 True\n", "")


# ---- on a signal ----

STUCK = """
    import ctypes
    rtfinalize.install(dump_on=%s)
    def main():
        print("ready", flush=True)
        # The call goes on after a signal: no handler in Python runs.
        getattr(ctypes, %r)(None).read(0, ctypes.create_string_buffer(1), 1)
    main()
    """


@pytest.mark.parametrize("dump_on", ["signal.SIGUSR1", "'SIGUSR1'", "'usr1'", "int(signal.SIGUSR1)"])
def test_a_signal_while_the_main_thread_is_stuck(start, dump_on):
    program = start(STUCK % (dump_on, "CDLL"))
    program.prints("ready")
    program.signal(signal.SIGUSR1)
    assert "is running:\n  thread 'MainThread', in main (" in program.complains("thread 'MainThread'")
    # The thread that writes is not one of the program's.
    assert program.end() == (0, "", "")


def test_a_signal_while_native_code_keeps_the_lock(start):
    program = start(STUCK % ("'SIGUSR1'", "PyDLL"))
    program.prints("ready")
    # It may not be in the call yet, and then writes a dump.
    text = ""
    while "has to wait" not in text:
        program.signal(signal.SIGUSR1)
        text += program.complains("rtfinalize: ")
    assert text.endswith("rtfinalize: the dump has to wait; native code may keep the interpreter's lock\n")
    code, out, err = program.end()
    # What waited follows, at the latest as the program ends.
    assert code == 0 and "MainThread" in text + err


AT_THE_END = """
    def fetch():
        print("ready", flush=True)
        sys.stdin.read()
    threading.Thread(target=fetch, name="fetcher").start()
    """


@pytest.mark.parametrize("way", ["install", "option", "environment"])
def test_a_signal_while_the_end_waits(start, way):
    if way == "install":
        program = start("rtfinalize.install(dump_on='SIGUSR1')\n" + AT_THE_END.replace("\n    ", "\n"))
    elif way == "option":
        program = start(AT_THE_END, ["--dump-on", "SIGUSR1"])
    else:
        program = start(AT_THE_END, [], RTFINALIZE_DUMP_ON="SIGUSR1")
    program.prints("ready")
    err = ""
    while "is ending:\n  thread 'MainThread', waiting for the other threads to end\n" not in err:
        program.signal(signal.SIGUSR1)
        err = program.complains("thread 'fetcher', in fetch (")
    assert ", started in <module> (" in err
    assert program.end()[0] == 0


def test_a_signal_while_the_end_writes(start):
    program = start(
        """
        rtfinalize.install(dump_on="SIGUSR1")
        r, w = os.pipe()
        file = open(w, "wb", 1 << 20)
        file.write(b"x" * 200000)
        # The reader of the pipe is another process, which pauses until this one's input ends.
        if os.fork() == 0:
            sys.stdin.read()
            left = 200000
            while left > 0:
                left -= len(os.read(r, 65536))
            os._exit(0)
        os.close(r)
        print("ready", flush=True)
        """
    )
    program.prints("ready")
    err = ""
    while "  thread 'MainThread', flushing descriptor " not in err:
        program.signal(signal.SIGUSR1)
        err = program.complains("thread 'MainThread'")
    assert program.end()[0] == 0


def test_no_signal_by_default(start):
    program = start("rtfinalize.install(); print('ready', flush=True); sys.stdin.read()")
    program.prints("ready")
    program.signal(signal.SIGUSR1)
    assert program.end()[0] == -signal.SIGUSR1


def test_a_signal_in_a_forked_child_and_its_parent(start):
    program = start(
        """
        rtfinalize.install(dump_on="SIGUSR1")
        r, w = os.pipe()
        child = os.fork()
        if child == 0:
            print("child", os.getpid(), flush=True)
            os.close(w)
            os.read(r, 1)
            os._exit(0)
        print("ready", flush=True)
        for line in sys.stdin:
            os.kill(child if "child" in line else os.getpid(), signal.SIGUSR1)
        os.close(w)
        print(os.waitpid(child, 0)[1])
        """,
        flags=["-W", "error"],
    )
    child = program.prints("child ").split("child ")[1].split()[0]
    stdin = program._process.stdin
    stdin.write(b"child\n")
    stdin.flush()
    program.complains("rtfinalize: process %s is running:" % child)
    stdin.write(b"parent\n")
    stdin.flush()
    program.complains("rtfinalize: process %d is running:" % program._process.pid)
    code, out, err = program.end()
    assert code == 0 and out.endswith("0\n")
    assert "Warning" not in err


@pytest.mark.parametrize("value", ["'SIGNONE'", "'SIGKILL'", "'SIG_IGN'", "'SIGSEGV'", "0", "100000"])
def test_what_is_no_signal_is_refused(run, value):
    code, out, err = run("rtfinalize.install(dump_on=%s)" % value)
    assert code == 1
    assert "\nValueError: dump_on is %s; " % value in err


def test_a_wrong_option_and_a_wrong_setting(run):
    code, out, err = run("print(1)", ["--dump-on", "SIGNONE"])
    assert (code, out) == (2, "") and err.endswith("rtfinalize: dump_on is 'SIGNONE'; it takes a signal like SIGUSR1\n")
    code, out, err = run("print(1)", [], RTFINALIZE_DUMP_ON="SIGNONE")
    assert (code, out) == (0, "1\n")
    assert err == "rtfinalize: RTFINALIZE_DUMP_ON is 'SIGNONE'; it takes a signal like SIGUSR1\n"


# ---- the same words at the end ----


def test_the_report_says_where_a_thread_was_started(run):
    code, out, err = run(
        """
        def fetch():
            threading.Event().wait()
        def main():
            threading.Thread(target=fetch, name="fetcher").start()
        main()
        """,
        ["--deadline", "1s", "--report", "text"],
    )
    assert code == 120
    err = " ".join(err.split())
    assert "waiting for thread 'fetcher', in fetch (" in err and "started in main (" in err
