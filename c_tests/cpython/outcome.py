"""One run of a case, judged from outside."""

import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from case import Case

# A shell has what it runs in the background ignore Ctrl-C, and all that this starts inherits it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As much as a pipe holds, and more.
PIPE = 1 << 20


@dataclass
class Outcome:
    what: str
    good: bool
    seconds: float
    reported: int = 0
    measured: tuple[float, str] | None = None


def environment(case: Case) -> dict[str, str]:
    """Nothing that changes how Python buffers, and nothing that changes how the library finalizes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTFINALIZE"))}
    return {**kept, "RTFINALIZE_REPORT": "json:report.json", **case.environment}


def missing_in_report(folder: Path) -> int:
    """Bytes that the report says were accepted and could not be written."""
    try:
        return int(json.loads((folder / "report.json").read_text())["missing_bytes"])
    except (OSError, ValueError, KeyError):
        return 0


def said(folder: Path, streams: dict[str, bytes]) -> str:
    report = folder / "report.json"
    text = streams["stderr"] + (report.read_bytes() if report.is_file() else b"")
    return text.decode(errors="replace")


def lost(expected: bytes, arrived: bytes) -> int | None:
    """How many bytes are missing at the end; None when what arrived is something else."""
    return len(expected) - len(arrived) if expected.startswith(arrived) else None


def lost_lines(journal: bytes, arrived: bytes) -> int | None:
    """Bytes of lines that were accepted and did not arrive; None when one arrived twice. The last line of
    either may be half a line: its writer was stopped there."""
    count = collections.Counter(arrived.splitlines(keepends=True))
    accepted = [line for line in journal.splitlines(keepends=True) if line.endswith(b"\n")]
    if any(count[line] > 1 for line in accepted):
        return None
    return sum(len(line) for line in accepted if not count[line])


def judge(case: Case, folder: Path, streams: dict[str, bytes]) -> tuple[str, bool, int]:
    """Of a process that ended by itself with a code that is right."""
    reported, missing = missing_in_report(folder), 0

    def content(where: str) -> bytes:
        if where in streams:
            return streams[where]
        file = folder / where
        return file.read_bytes() if file.is_file() else b""

    for where, expected in case.arrives.items():
        number = lost(expected, content(where))
        if number is None:
            return f"wrong bytes in {where}", False, reported
        missing += number
    for journal, where in case.journals.items():
        number = lost_lines(content(journal), content(where))
        if number is None:
            return f"a line twice in {where}", False, reported
        missing += number
    if missing > reported:
        return f"lost {missing - reported} bytes", False, reported
    return ("ok, its loss reported" if missing else "ok"), True, reported


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Output:
    """The other end of a process's pipe: read as it comes, or only after the end for what is left in it."""

    def __init__(self, read: bool) -> None:
        self.reader, self.writer = os.pipe()
        self.parts: list[bytes] = []
        self.thread = threading.Thread(target=self.read_all) if read else None

    def process_has_started(self) -> None:
        os.close(self.writer)
        if self.thread:
            self.thread.start()

    def read_all(self) -> None:
        while part := os.read(self.reader, PIPE):
            self.parts.append(part)

    def content(self) -> bytes:
        """Of a process that has ended."""
        if self.thread:
            self.thread.join()
        else:
            self.read_all()
        os.close(self.reader)
        return b"".join(self.parts)


def execute(case: Case, command: list[str], folder: Path) -> tuple[int | None, float, dict[str, bytes]]:
    """Exit code (None: a hang, killed), seconds, and what came out."""
    outputs = {name: Output(getattr(case, name) == "read") for name in ("stdout", "stderr")}
    idle = os.pipe() if case.stdin == "idle" else None
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env=environment(case), stdout=outputs["stdout"].writer,
                               stderr=outputs["stderr"].writer, stdin=idle[0] if idle else subprocess.DEVNULL,
                               start_new_session=True)
    for output in outputs.values():
        output.process_has_started()
    try:
        code: int | None = process.wait(case.seconds)
    except subprocess.TimeoutExpired:
        code = None
    seconds = time.monotonic() - start
    # With what it started: a child that hangs would keep the pipes open.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for end in idle or ():
        os.close(end)
    return code, seconds, {name: output.content() for name, output in outputs.items()}


def run(case: Case, command: list[str], is_fork: bool) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="rtfinalize-case-") as name:
        folder = Path(name)
        code, seconds, streams = execute(case, command, folder)
        if code is None:
            return Outcome("hang", False, seconds)
        if code not in case.exits:
            if is_fork:
                sys.stderr.write(streams["stderr"].decode(errors="replace")[-2000:])
            return Outcome(f"exit {code}" if code >= 0 else signal_name(-code), False, seconds)
        what, good, reported = judge(case, folder, streams)
        if good and is_fork and case.says and not re.search(case.says, said(folder, streams)):
            what, good = "did not say why", False
        if good and is_fork and case.silent and streams["stderr"]:
            sys.stderr.write(streams["stderr"].decode(errors="replace")[-2000:])
            what, good = "was not silent", False
        if good and is_fork and case.counts not in (None, reported):
            what, good = f"reports {reported} bytes, not {case.counts}", False
        outcome = Outcome(what, good, seconds, reported)
        number = re.search(rb"^measured (-?[\d.]+) (.+)$", streams["stdout"], re.M)
        if number:
            outcome.measured = float(number.group(1)), number.group(2).decode()
        return outcome
