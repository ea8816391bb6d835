import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
import pytest

pytest_plugins = ["pytester"]

# A shell has what it runs in the background ignore Ctrl-C, and all that this starts inherits it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test takes longer, whatever goes wrong.
BOUND = 30

# Each program begins with this. `says(*words)` waits until a dump has them on one line, `wait_for_shutdown()` until the
# program waits for its threads.
PRELUDE = """\
import io, os, signal, sys, threading, time
import rtfinalize

def said():
    text = io.StringIO()
    rtfinalize.dump(text)
    return text.getvalue()

def says(*words):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for line in said().splitlines():
            if all(word in line for word in words):
                return line
        time.sleep(0.001)
    os.write(2, ("no dump says %s, but:\\n%s" % (words, said())).encode())
    os._exit(99)

def is_in_shutdown():
    frame = sys._current_frames().get(threading.main_thread().ident)
    while frame is not None and frame.f_code.co_name != "_shutdown":
        frame = frame.f_back
    return frame is not None

def wait_for_shutdown():
    "Until the main thread sleeps in `threading._shutdown`: it stays in one system call, which a wait to go on never does."
    looks, before = 0, None
    while looks < 25:
        with open("/proc/self/task/%d/syscall" % os.getpid()) as file:
            now = file.read()
        looks = looks + 1 if now == before and not now.startswith("running") and is_in_shutdown() else 0
        before = now
        time.sleep(0.002)

"""


def environment(**more):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTFINALIZE"))}
    return dict(plain, **more)


class Program:
    def __init__(self, path, options, env, flags):
        self.path = path
        command = [sys.executable, *flags, *(["-m", "rtfinalize", *options] if options is not None else []), str(path)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=path.parent, stdin=pipe, stdout=pipe, stderr=pipe,
                                         env=environment(**env), start_new_session=True)
        self._until = time.monotonic() + BOUND
        self._text = {1: "", 2: ""}

    def _wait_for(self, what, stream, number):
        """What it has written up to the end of the line that has this, and has not been asked for before."""
        while what not in self._text[number] or "\n" not in self._text[number].split(what, 1)[1]:
            if not select.select([stream], [], [], max(self._until - time.monotonic(), 0))[0]:
                pytest.fail("no %r within the time, but %r" % (what, self._text))
            data = os.read(stream.fileno(), 65536)
            if not data:
                pytest.fail("ended without %r, but with %r" % (what, self._text))
            self._text[number] += data.decode()
        before, after = self._text[number].split(what, 1)
        line, self._text[number] = after.split("\n", 1)
        return before + what + line + "\n"

    def prints(self, what):
        return self._wait_for(what, self._process.stdout, 1)

    def complains(self, what):
        return self._wait_for(what, self._process.stderr, 2)

    def signal(self, number):
        assert time.monotonic() < self._until, self._text
        self._process.send_signal(number)

    def end(self):
        """Ends its input, and waits for it: exit code, and what else it has written."""
        try:
            out, err = self._process.communicate(timeout=max(self._until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            self._kill_all()
            out, err = self._process.communicate()
            pytest.fail("did not end: %r %r %r" % (self._text, out, err))
        return self._process.returncode, self._text[1] + out.decode(), self._text[2] + err.decode()

    def _kill_all(self):
        """Also those that it has started, which have its pipes, too."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def kill(self):
        self._kill_all()
        self._process.communicate()


@pytest.fixture
def start(tmp_path):
    """Starts a program; with options, by `python -m rtfinalize`."""
    programs = []

    def start(source, options=None, flags=(), **env):
        path = tmp_path / "app.py"
        path.write_text(PRELUDE + textwrap.dedent(source))
        programs.append(Program(path, options, env, flags))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


@pytest.fixture
def run(start):
    """Runs a program to its end."""
    return lambda *args, **named: start(*args, **named).end()


@pytest.fixture
def same(run):
    """Runs a program without the package and with it, to the same end: exit code, and what it has written."""
    def end(*args):
        code, out, err = run(*args)
        return code, out, re.sub(r"\b0x[0-9a-f]+", "0x...", err)

    def same(source, flags=()):
        stock = end(source, None, flags)
        assert end(source, [], flags) == stock
        return stock

    return same
