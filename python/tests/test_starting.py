"""How a program is started: Python's flags, streams that are closed, a Python that is too old."""

import os
import subprocess
import sys
import pytest

import rtfinalize

SITE = os.path.dirname(os.path.dirname(rtfinalize.__file__))
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTFINALIZE"))}

FLAGS = [["-I"], ["-E"], ["-s"], ["-S"]] + ([["-P"]] if sys.version_info >= (3, 11) else [])


def end(command, folder, **more):
    done = subprocess.run(command, cwd=str(folder), env=dict(ENVIRONMENT, **more), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("flags", [[]] + FLAGS, ids="".join)
def test_a_program_sees_the_path_that_python_gives_it(tmp_path, flags):
    """A package beside the program may not be in it, and those of the standard library are."""
    # Without `site` there is no place for packages but this.
    more = {"PYTHONPATH": SITE} if flags == ["-S"] else {}
    (tmp_path / "app.py").write_text("import sys; print(sys.path, sys.argv)")
    for program in (["app.py", "x"], ["-m", "app", "x"], ["-c", "import sys; print(sys.path, sys.argv)", "x"]):
        stock = end([sys.executable, *flags, *program], tmp_path, **more)
        assert end([sys.executable, *flags, "-m", "rtfinalize", *program], tmp_path, **more)[:2] == stock[:2]


@pytest.mark.parametrize("flags", [[], ["-I"]], ids="".join)
def test_a_folder_is_run_from_wherever_it_is(tmp_path, flags):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "beside.py").write_text("")
    (folder / "__main__.py").write_text("import beside, sys; print(sys.path, sys.argv)")
    stock = end([sys.executable, *flags, "folder"], tmp_path)
    assert end([sys.executable, *flags, "-m", "rtfinalize", "folder"], tmp_path) == stock
    assert stock[0] == 0


# A daemon thread at work has the process end in the package's way.
CLOSED = """
import os, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
file = open("file", "w")
file.write("of the file\\n")
if sys.stdout is not None:
    print("printed")
sys.exit(3)
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_stream_that_is_closed_is_no_file_of_the_program(tmp_path, closed):
    """The next file gets its number, and nothing that is meant for the stream."""
    (tmp_path / "app.py").write_text(CLOSED)
    command = "exec '%s' -m rtfinalize --report text --deadline 20s app.py %s" % (sys.executable, closed)
    code, out, err = end(["sh", "-c", command], tmp_path)
    assert code == 3
    assert (tmp_path / "file").read_text() == "of the file\n"
    assert out == ("" if "1>&-" in closed else "printed\n")
    assert ("finalized in" in err) == ("2>&-" not in closed)


def test_an_error_without_stderr_keeps_its_code(tmp_path):
    for words in (["--deadline", "soon", "app.py"], ["missing.py"]):
        assert end(["sh", "-c", "exec '%s' -m rtfinalize %s 2>&-" % (sys.executable, " ".join(words))], tmp_path) == (2, "", "")


def test_output_and_what_exit_callbacks_write_are_in_the_order_of_python(same):
    """Python flushes stdout after the last line of a file."""
    source = "import atexit; atexit.register(os.write, 1, b'callback\\n'); print('printed')\n"
    assert same(source) == (0, "printed\ncallback\n", "")
    code, out, err = same(source + "raise ValueError")
    assert (code, out) == (1, "printed\ncallback\n")


@pytest.mark.parametrize("what, is_this", [("version_info", "(3, 8, 18)"), ("platform", "'win32'"),
                                           ("implementation", "types.SimpleNamespace(**dict(vars(sys.implementation), name='pypy'))")])
def test_another_python_is_refused_with_a_reason(tmp_path, what, is_this):
    code, out, err = end([sys.executable, "-c", "import sys, types; sys.%s = %s\nimport rtfinalize" % (what, is_this)], tmp_path)
    assert code == 1
    assert err.splitlines()[-1].startswith("ImportError: rtfinalize works with CPython from 3.9 on, on Linux; this is ")


def test_an_old_python_understands_the_refusal():
    """It reads the whole of the first file before it runs any of it."""
    import ast

    with open(rtfinalize.__file__, encoding="utf-8") as file:
        source = file.read()
    ast.parse(source, feature_version=(3, 6))
