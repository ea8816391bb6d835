"""What a program pays for the package as it starts: no module that it does not use itself."""

import subprocess
import sys
import pytest
from conftest import BOUND, environment

OURS = {"rtfinalize", "rtfinalize._native", "rtfinalize._threading"}
AT_THE_END = {"rtfinalize._files", "gc", "atexit"}


def ended(*words, folder=None):
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=BOUND,
    )
    return done.returncode, done.stdout, done.stderr


def imported(*words, folder=None):
    """The modules that a program has imported once it has ended."""
    ended(*words, folder=folder)  # writes what is compiled, for the compiler has imports of its own
    code, out, err = ended("-X", "importtime", *words, folder=folder)
    assert code == 0, err
    return {line.split("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")}


def test_install_imports_the_package_alone():
    more = imported("-c", "import rtfinalize; rtfinalize.install()") - imported("-c", "pass")
    assert more - AT_THE_END == OURS


def test_a_run_imports_nothing_but_the_package(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "__init__.py").touch()
    (tmp_path / "empty" / "__main__.py").touch()
    (tmp_path / "app.py").write_text("print('done')")
    stock = imported("-m", "empty", folder=tmp_path)
    for words in (["-c", "print('done')"], ["app.py"]):
        more = imported("-m", "rtfinalize", *words, folder=tmp_path) - stock
        assert more - AT_THE_END == OURS


USES = {
    "import": "import threading",
    "from": "from threading import Thread",
    "attribute": "sys.modules['threading'].Thread",
    "assignment": "sys.modules['threading'].own = 1",
    "deletion": "del sys.modules['threading'].setprofile",
    "search": "import importlib.util; importlib.util.find_spec('threading')",
}


@pytest.mark.parametrize("use", USES)
def test_threading_is_loaded_as_soon_as_it_is_used(use):
    program = """if True:
        import sys, types
        import rtfinalize
        rtfinalize.install()
        %s
        import threading
        assert type(threading) is types.ModuleType and threading is sys.modules["threading"]
        assert threading._shutdown.__name__ == "at_exit" and threading.main_thread().name == "MainThread"
        assert threading.__spec__.name == "threading" and threading.__spec__.loader is threading.__loader__
        thread = threading.Thread(target=print, args=["in a thread"])
        thread.start()
        thread.join()
        print(hasattr(threading, "own"), hasattr(threading, "setprofile"))
    """
    code, out, err = ended("-c", program % USES[use])
    assert (code, err) == (0, "")
    assert sorted(out.splitlines()) == sorted(["in a thread", "%s %s" % (use == "assignment", use != "deletion")])


def test_threads_that_use_threading_at_the_same_time_get_all_of_it():
    code, out, err = ended(
        "-c",
        """if True:
        import _thread, sys
        import rtfinalize
        rtfinalize.install()
        sys.setswitchinterval(1e-6)
        def use():
            go_on.acquire(); go_on.release()
            from threading import Thread, Timer
            done.append(Thread and Timer)
        go_on, done = _thread.allocate_lock(), []
        with go_on:
            for _ in range(8):
                _thread.start_new_thread(use, ())
        import time
        until = time.monotonic() + 20
        while len(done) < 8 and time.monotonic() < until:
            time.sleep(0.001)
        print(len(done))
        """,
    )
    assert (code, out, err) == (0, "8\n", "")


def test_a_deadline_bounds_a_callback_of_a_program_without_threading():
    code, out, err = ended(
        "-c",
        """if True:
        import atexit, os, sys, time
        import rtfinalize
        rtfinalize.install(deadline=0.5)
        def never_ends():
            os.write(1, b"threading" if "threading" in sys.modules else b"")
            while True:
                time.sleep(1)
        atexit.register(never_ends)
        """,
    )
    assert code == 120
    assert "never_ends" in err
