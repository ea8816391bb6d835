"""Threads that end in another way than by returning, and ones that are busy as the program ends."""

import signal
import pytest


@pytest.mark.parametrize("is_daemon", [False, True])
def test_a_thread_that_exits_ends_only_itself(same, is_daemon):
    source = """
        thread = threading.Thread(target=sys.exit, args=(3,), daemon=%r)
        thread.start()
        thread.join()
        print("main")
        """
    assert same(source % is_daemon) == (0, "main\n", "")


def test_a_thread_that_raises_is_told_and_the_code_stays(same):
    code, out, err = same(
        """
        def fail():
            raise ValueError("of a thread")
        thread = threading.Thread(target=fail, name="failing")
        thread.start()
        thread.join()
        """
    )
    assert code == 0
    assert err.startswith("Exception in thread failing:\n") and "ValueError: of a thread\n" in err


def test_the_hook_hears_of_a_thread_that_raises_during_the_end(same):
    source = """
        main = threading.main_thread()
        def hook(args):
            os.write(1, ("%s in %s\\n" % (args.exc_value, args.thread.name)).encode())
        threading.excepthook = hook
        def fail():
            while main.is_alive():
                time.sleep(0.001)
            raise ValueError("late")
        threading.Thread(target=fail, name="failing").start()
        """
    assert same(source) == (0, "late in failing\n", "")


IMPORTS = """
with open("never.py", "w") as file:
    file.write("import sys; sys.modules['app'].inside.set(); sys.modules['app'].threading.Event().wait()")
sys.modules["app"] = sys.modules["__main__"]
inside = threading.Event()
def load():
    import never
threading.Thread(target=load, name="loader", daemon=True).start()
inside.wait()
log = open("log", "w")
log.write("whole\\n")
"""


def test_a_daemon_thread_in_the_middle_of_an_import_is_left_there(same, tmp_path):
    assert same(IMPORTS) == (0, "", "")
    assert (tmp_path / "log").read_text() == "whole\n"


def test_an_exit_callback_that_waits_for_that_import_is_interrupted(run, tmp_path):
    """Without a deadline it waits for good, as without the package."""
    source = IMPORTS + """
import atexit
def load_too():
    import never
atexit.register(load_too)
"""
    code, out, err = run(source, ["--deadline", "500ms"])
    assert code == 120
    assert "cut short at the deadline: an exit callback, in load_too (" in err
    assert (tmp_path / "log").read_text() == "whole\n"


AT_WORK = """
import hashlib
rtfinalize.install()
started = threading.Event()
def work():
    started.set()
    hashlib.pbkdf2_hmac("sha512", b"password", b"salt", 1_000_000_000)
threading.Thread(target=work, daemon=True).start()
started.wait()
"""


@pytest.mark.parametrize("end, code", [
    ("", 0), ("sys.exit(3)", 3), ("raise ValueError", 1), ("raise KeyboardInterrupt", -signal.SIGINT), ("sys.exit('words')", 1),
])
@pytest.mark.parametrize("options", [None, []], ids=["install", "runner"])
def test_the_code_is_the_programs_also_where_a_thread_is_at_work(run, end, code, options):
    assert run(AT_WORK + end, options)[0] == code
