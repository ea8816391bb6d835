"""`asyncio`: loops and their threads as the program ends."""

import signal


def test_a_loop_in_a_daemon_thread_loses_nothing_that_its_tasks_wrote(run, tmp_path):
    code, out, err = run(
        """
        import asyncio
        loop = asyncio.new_event_loop()
        async def write(ready):
            file = open("of-a-task", "w")
            for number in range(100):
                file.write("%d\\n" % number)
                await asyncio.sleep(0)
            file.write("last\\n")
            await loop.run_in_executor(None, ready.set)
            await asyncio.get_running_loop().create_future()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        ready, called = threading.Event(), threading.Event()
        asyncio.run_coroutine_threadsafe(write(ready), loop)
        loop.call_soon_threadsafe(called.set)
        ready.wait()
        called.wait()
        loop.call_soon_threadsafe(int)
        """,
        [],
    )
    # What becomes of a task that is pending asyncio says itself.
    assert (code, out) == (0, "")
    assert "rtfinalize: " not in err
    assert (tmp_path / "of-a-task").read_text() == "".join("%d\n" % number for number in range(100)) + "last\n"


ENDLESS = """
import asyncio
started = threading.Event()
def crunch():
    started.set()
    os.write(1, b"started\\n")
    threading.Event().wait()
"""


def test_a_job_of_the_default_executor_that_never_ends_is_named(run):
    """The loop is not closed: the end comes to the executor's threads."""
    code, out, err = run(ENDLESS + """
loop = asyncio.new_event_loop()
async def main():
    loop.run_in_executor(None, crunch)
    while not started.is_set():
        await asyncio.sleep(0)
loop.run_until_complete(main())
""", ["--deadline", "500ms", "--end", "exit"])
    assert code == 120
    assert "in crunch (" in err and "working on crunch (" in err


def test_an_interrupt_ends_the_wait_of_run_and_the_deadline_that_for_the_job(start):
    """`asyncio.run` itself waits for the executor, which is in the program and not at its end."""
    program = start(ENDLESS + """
async def main():
    if hasattr(asyncio, "to_thread"):
        asyncio.ensure_future(asyncio.to_thread(crunch))
    while not started.is_set():
        await asyncio.sleep(0)
def wait_for_the_wait():
    # In the loop's own wait: an interrupt of the step before it leaves `asyncio.run` in a wait without a bound.
    while not is_in_the_wait(sys._current_frames()):
        time.sleep(0.001)
    os.write(1, b"waits\\n")
def is_in_the_wait(frames):
    return is_in(frames[main_thread], "select") and any(is_in(frame, "_do_shutdown") for frame in frames.values())
def is_in(frame, name):
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None
main_thread = threading.get_ident()
threading.Thread(target=wait_for_the_wait).start()
asyncio.run(main())
""", ["--deadline", "500ms"])
    program.prints("waits")
    program.signal(signal.SIGINT)
    code, out, err = program.end()
    # As a program that an interrupt has ended; its end was cut short.
    assert code in (-signal.SIGINT, 1, 120, 130)
    assert "KeyboardInterrupt" in err
    assert "working on crunch (" in err


def test_an_interrupt_of_run_is_as_without_the_package(same):
    code, out, err = same(
        """
        import asyncio
        async def main():
            try:
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
                await asyncio.sleep(600)
            finally:
                print("finally")
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
            sys.exit(5)
        """
    )
    assert (code, err) == (5, "")
    assert sorted(out.split()) == ["finally", "interrupted"]


def test_work_that_is_awaited_is_done(same):
    source = """
        import asyncio
        async def main():
            loop = asyncio.get_running_loop()
            print(await loop.run_in_executor(None, len, "four"))
            if hasattr(asyncio, "to_thread"):
                print(await asyncio.to_thread(len, "three"))
        asyncio.run(main())
        """
    assert same(source) == (0, "4\n5\n", "")
