"""What is asked for in a way that cannot be done: an error that says what to do, or a line; and nothing is lost."""

import json
import os
import subprocess
import sys
import pytest

# Each is (the parameter, what it is, what is said of it).
NO_SETTINGS = [
    ("deadline", "soon", "deadline is 'soon'; it takes a time like 5s, 1.5s or 500ms"),
    ("deadline", -1, "deadline is -1; it takes a number of seconds, or a text like"),
    ("deadline", "-1s", "deadline is '-1s'; it takes a time like"),
    ("deadline", "inf", "deadline is 'inf'; it takes a time like"),
    ("deadline", "nan", "deadline is 'nan'; it takes a time like"),
    ("deadline", True, "deadline is True; it takes a number of seconds"),
    ("deadline", [], "deadline is []; it takes a number of seconds"),
    ("deadline", 0, "deadline is 0; without any time nothing can be done"),
    ("deadline", "0ms", "deadline is '0ms'; without any time nothing can be done"),
    ("grace", "", "grace is ''; it takes a time like"),
    ("report", "xml", "report is 'xml'; it takes text, json, trace or html"),
    ("report", "json:%d", "report is 'json:%d'; it takes text, json, trace or html"),
    ("report", 5, "report is 5; it takes a text like json:PATH"),
    ("end", "now", "end is 'now'; it takes 'continue' or 'exit'"),
    ("dump_on", "SIGNONE", "dump_on is 'SIGNONE'; it takes a signal like SIGUSR1"),
    ("dump_on", "SIGKILL", "dump_on is 'SIGKILL'; that signal cannot be caught"),
    ("dump_on", 0, "dump_on is 0; it takes a signal like SIGUSR1"),
    ("dump_on", None.__class__, "dump_on is <class 'NoneType'>; it takes a signal like SIGUSR1"),
]
NO_NUMBERS = ["float('nan')", "float('inf')", "-0.5", "10 ** 400", "1j"]


def test_what_is_no_setting_is_refused_and_changes_nothing(run):
    calls = ["(%r, %s, %r)" % (name, "type(None)" if value is type(None) else repr(value), says) for name, value, says in NO_SETTINGS]
    calls += ["('deadline', %s, 'it takes a number of seconds')" % number for number in NO_NUMBERS]
    code, out, err = run(
        """
        for name, value, says in [%s]:
            try:
                rtfinalize.install(**{name: value})
                print(name, value, "is taken")
            except ValueError as error:
                if says not in str(error) or "argument" in str(error):
                    print(error)
        shutdown = threading._shutdown
        print("the same" if "rtfinalize" not in repr(shutdown) else shutdown)
        """ % ", ".join(calls)
    )
    assert (code, out, err) == (0, "the same\n", "")


@pytest.mark.parametrize("value", ["1e300", "'99999999999999999999s'", "86400 * 365 * 1000"])
def test_a_time_that_is_longer_than_any_program_runs_is_taken(run, value):
    code, out, err = run(
        """
        rtfinalize.install(deadline=%s, grace=%s)
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        file = open("file", "w")
        file.write("x")
        """ % (value, value)
    )
    assert (code, out, err) == (0, "", "")


@pytest.mark.parametrize("words, says", [
    (["--deadline", "soon"], "deadline is 'soon'; it takes a time like 5s, 1.5s or 500ms"),
    (["--end", "now"], "end is 'now'; it takes 'continue' or 'exit'"),
    (["--dedline", "5s"], "there is no option --dedline"),
    (["-u"], "-u is no program; Python's own options come before -m rtfinalize"),
])
def test_a_command_line_that_is_wrong_is_said_and_nothing_runs(run, words, says):
    code, out, err = run("print('runs')", words)
    assert (code, out) == (2, "")
    assert err.startswith("usage: ") and err.splitlines()[-1].startswith("rtfinalize: " + says)
    assert "an argument has a value" not in err


@pytest.mark.parametrize("words, says", [([], "there is no program to run"), (["-c"], "-c needs a value"),
                                         (["--deadline"], "--deadline needs a value")])
def test_a_command_line_without_its_end_is_said(words, says):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTFINALIZE"))}
    done = subprocess.run([sys.executable, "-m", "rtfinalize", *words], env=environ, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "rtfinalize: " + says)


def test_a_second_install_adds_to_the_first(run, tmp_path):
    code, out, err = run(
        """
        rtfinalize.install(deadline=1)
        rtfinalize.install(report="json:first.json")
        rtfinalize.install(report="json:second.json")
        threading.Thread(target=threading.Event().wait).start()
        """
    )
    assert code == 120
    assert json.loads((tmp_path / "second.json").read_text())["deadline_us"] == 1000000
    assert not (tmp_path / "first.json").exists()


def test_install_in_any_thread_is_for_the_program(run, tmp_path):
    code, out, err = run(
        """
        thread = threading.Thread(target=rtfinalize.install, kwargs={"report": "json:end.json"})
        thread.start()
        thread.join()
        """
    )
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "end.json").exists()


@pytest.mark.parametrize("is_installed", [False, True])
def test_install_during_the_end_is_refused(run, is_installed):
    code, out, err = run(
        """
        import atexit
        if %r:
            rtfinalize.install()
        def late(who):
            try:
                rtfinalize.install(deadline=5)
                os.write(1, b"taken by " + who)
            except RuntimeError as error:
                os.write(1, who + b": " + str(error).encode() + b"\\n")
        atexit.register(late, b"callback")
        class Last:
            def __del__(self, late=late):
                late(b"destructor")
        last = Last()
        last.itself = last
        """ % is_installed
    )
    assert (code, err) == (0, "")
    says = "the program is ending; install() has to be called before that"
    assert out == "callback: %s\ndestructor: %s\n" % (says, says)


def test_a_report_that_cannot_be_written_costs_a_line_and_not_the_code(run):
    code, out, err = run("print('done')", ["--report", "json:no/such/folder/end.json"])
    assert (code, out) == (0, "done\n")
    assert err.startswith("rtfinalize: the report could not be written to no/such/folder/end.json: ")
    assert run("sys.exit(3)", ["--report", "json:/dev/full"])[0] == 3


def test_a_path_that_is_not_utf_8_is_taken(run, tmp_path):
    code, out, err = run("rtfinalize.install(report='json:' + os.fsdecode(b'caf\\xe9'))")
    assert (code, out, err) == (0, "", "")
    assert [os.fsencode(path.name) for path in tmp_path.iterdir() if path.name != "app.py"] == [b"caf\xe9"]


# ---- a Python whose files are laid out in a way that nobody knows ----

UNKNOWN = """
from rtfinalize import _fields
known = _fields.words_of
_fields.words_of = lambda thing: [0] * len(known(thing))
"""


def test_without_a_known_layout_files_are_written_and_no_number_is_guessed(run, tmp_path):
    code, out, err = run(UNKNOWN +
        """
log = open("log", "w")
log.write("whole\\n")
full = open("/dev/full", "w")
full.write("lost\\n")
threading.Thread(target=threading.Event().wait, daemon=True).start()
        """, ["--report", "json:end.json"])
    assert code == 120
    assert (tmp_path / "log").read_text() == "whole\n"
    why = "[Errno 28] No space left on device; how many bytes it holds is not known in this Python"
    assert err.splitlines()[0] == "rtfinalize: 'main': '/dev/full' is not written: %s" % why
    (lost,) = json.loads((tmp_path / "end.json").read_text())["destinations"]
    assert (lost["name"], lost["unwritten"], lost["reason"]) == ("/dev/full", 0, why)


def test_without_a_known_layout_a_lock_that_is_kept_neither_aborts_nor_hangs(run):
    code, out, err = run(UNKNOWN +
        """
reader, writer = os.pipe()
stuck = open(writer, "wb")
threading.Thread(target=stuck.write, args=(b"x" * 1000000,), daemon=True, name="writer").start()
idle, keeps_open = os.pipe()
os.dup2(idle, 0)
threading.Thread(target=sys.stdin.buffer.readline, daemon=True, name="reader").start()
says("'writer'", "in write of descriptor %d" % writer)
says("'reader'", "in read of descriptor 0")
        """, ["--grace", "100ms"])
    assert code == 120
    assert "is not written: its lock is held; how many bytes it holds is not known in this Python" in err


# ---- by the environment, after `python -m rtfinalize --enable` ----


@pytest.fixture(scope="module")
def enabled(tmp_path_factory):
    """The interpreter of an environment of its own, where that has been done, and what it is run with."""
    import rtfinalize

    folder = tmp_path_factory.mktemp("enabled")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTFINALIZE"))}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, env=environ, timeout=60)
    environ["PYTHONPATH"] = os.path.dirname(os.path.dirname(rtfinalize.__file__))
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "rtfinalize", "--enable"], check=True, env=environ, stdout=subprocess.DEVNULL, timeout=60)
    return python, environ


@pytest.fixture
def by_environment(enabled, tmp_path):
    def by_environment(source, **variables):
        python, environ = enabled
        done = subprocess.run([python, "-c", source], env=dict(environ, **variables), cwd=tmp_path, timeout=30,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    return by_environment


def test_nonsense_in_the_environment_is_said_and_the_program_runs(by_environment):
    code, out, err = by_environment(
        "print('runs')", RTFINALIZE_DEADLINE="soon", RTFINALIZE_GRACE="-", RTFINALIZE_REPORT="xml", RTFINALIZE_END="now",
        RTFINALIZE_NOTICE="never", RTFINALIZE_DUMP_ON="SIGNONE")
    assert (code, out) == (0, "runs\n")
    assert sorted(set(line.split(";")[0] for line in err.splitlines())) == [
        "rtfinalize: RTFINALIZE_DEADLINE is 'soon'",
        "rtfinalize: RTFINALIZE_DUMP_ON is 'SIGNONE'",
        "rtfinalize: RTFINALIZE_END is 'now'",
        "rtfinalize: RTFINALIZE_GRACE is '-'",
        "rtfinalize: RTFINALIZE_NOTICE is 'never'",
        "rtfinalize: RTFINALIZE_REPORT is 'xml'",
    ]


def test_no_helper_of_multiprocessing_takes_the_report_of_the_program(by_environment, tmp_path):
    source = """
import multiprocessing, os
context = multiprocessing.get_context("forkserver")
child = context.Process(target=os.getpid)
child.start()
child.join()
lock = context.Lock()
print(os.getpid())
"""
    code, out, err = by_environment(source, RTFINALIZE_REPORT="json:%p.json")
    assert (code, err) == (0, "")
    assert out.strip() + ".json" in os.listdir(tmp_path)
    assert len([name for name in os.listdir(tmp_path) if name.endswith(".json")]) == 2


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_path_in_the_environment_is_no_two_processes(by_environment, tmp_path, method):
    source = "import multiprocessing, os; c = multiprocessing.get_context(%r).Process(target=os.getpid); c.start(); c.join()"
    code, out, err = by_environment(source % method, RTFINALIZE_REPORT="json:end.json")
    assert (code, err) == (0, "")
    assert len([name for name in os.listdir(tmp_path) if name.startswith("end")]) == 2


def test_a_program_runs_where_the_package_is_gone(enabled):
    python, environ = enabled
    environ = dict(environ, RTFINALIZE_REPORT="text")
    del environ["PYTHONPATH"]
    done = subprocess.run([python, "-c", "print('runs')"], env=environ, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs\n", "")


def test_a_place_that_cannot_be_written_is_named(enabled):
    python, environ = enabled
    where = "import sysconfig; print(sysconfig.get_path('purelib') + '/rtfinalize-by-environment.pth')"
    path = subprocess.run([python, "-c", where], env=environ, capture_output=True, text=True, timeout=30).stdout.strip()
    os.rename(path, path + ".kept")
    os.mkdir(path)
    try:
        done = subprocess.run([python, "-m", "rtfinalize", "--enable"], env=environ, capture_output=True, text=True, timeout=30)
    finally:
        os.rmdir(path)
        os.rename(path + ".kept", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "rtfinalize: %s could not be changed: Is a directory" % path


def test_disable_says_whether_there_was_anything_to_remove(enabled):
    python, environ = enabled
    said = []
    for option in ("--disable", "--disable", "--enable"):
        done = subprocess.run([python, "-m", "rtfinalize", option], env=environ, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        said.append(done.stdout.split(" is ", 1)[1])
    assert said == ["removed\n", "not there\n", "written\n"]
