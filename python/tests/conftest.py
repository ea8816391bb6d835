import os
import select
import subprocess
import sys
import textwrap
import time
import pytest

pytest_plugins = ["pytester"]

# No test takes longer, whatever goes wrong.
BOUND = 30

# Each program begins with this. `says(*words)` waits until a dump has them on one line.
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

"""


def environment(**more):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTFINALIZE"))}
    return dict(plain, **more)


class Program:
    def __init__(self, path, options, env, flags):
        self.path = path
        command = [sys.executable, *flags, *(["-m", "rtfinalize", *options] if options is not None else []), str(path)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(**env))
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
            self._process.kill()
            out, err = self._process.communicate()
            pytest.fail("did not end: %r %r %r" % (self._text, out, err))
        return self._process.returncode, self._text[1] + out.decode(), self._text[2] + err.decode()

    def kill(self):
        self._process.kill()
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
