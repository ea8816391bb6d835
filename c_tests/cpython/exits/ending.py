"""One run of a row's program, and everything that an outsider sees of its end."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from exits.row import Row


@dataclass
class Build:
    """An interpreter in the folder where it was built."""

    name: str
    folder: Path
    paths: list[Path] = field(default_factory=list)  # where it finds more modules

    @property
    def python(self) -> Path:
        return self.folder / "python"

    @property
    def source(self) -> Path:
        makefile = (self.folder / "Makefile").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"^srcdir=\s*(\S+)", makefile, re.M)
        if found is None:
            raise ValueError(f"{self.folder}/Makefile does not say where the source is")
        return Path(os.path.normpath(self.folder / found.group(1)))


@dataclass
class Ending:
    end: str  # `exit 3`, `SIGTERM`, `hang`
    streams: dict[str, bytes]
    files: dict[str, bytes] = field(default_factory=dict)  # those in the program's folder after its end
    seconds: float = 0.0


def environment(row: Row, build: Build, folder: Path, paths: list[Path]) -> dict[str, str]:
    """The same on every machine: none of the variables that Python or the library reads, unless the row sets them."""
    variables = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TERM": "dumb", "HOME": str(folder),
                 "TMPDIR": str(folder / "tmp"), "PY": str(build.python)}
    paths = build.paths + paths
    if paths:
        variables["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    return {**variables, **row.environment}


def command(row: Row, build: Build) -> list[str]:
    if row.run:
        return ["bash", "-c", row.run]
    return [str(build.python), *shlex.split(row.argv)]


def empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)


def left_in(folder: Path) -> dict[str, bytes]:
    """The files below a folder; what is neither a file nor a folder by its kind."""
    found = {}
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = Path(where, name)
            found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else b"(not a file)\n"
        if not names and not folders and where != str(folder / "tmp"):
            found[str(Path(where).relative_to(folder))] = b"(an empty folder)\n"
    return found


def name_of(code: int | None) -> str:
    if code is None:
        return "hang"
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def use_terminal(row: Row, master: int, parts: list[bytes]) -> None:
    """Types, and reads until nobody has the terminal open any more, which Linux says by an error."""
    typed = row.stdin.encode()
    with contextlib.suppress(OSError):
        while True:
            if typed and row.typed_after.encode() in b"".join(parts):
                os.write(master, typed)
                typed = b""
            parts.append(os.read(master, 1 << 16))


def on_pipes(row: Row, arguments: list[str], **how: object) -> tuple[int | None, bytes, bytes]:
    """Waits until the program has ended and nobody has its streams open any more."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               stdin=subprocess.PIPE if row.stdin else subprocess.DEVNULL, **how)
    code: int | None
    try:
        out, err = process.communicate(row.stdin.encode() or None, timeout=row.seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        kill_group(process)
        out, err = process.communicate()
        code = None
    kill_group(process)
    return code, out, err


def on_terminal(row: Row, arguments: list[str], **how: object) -> tuple[int | None, bytes, bytes]:
    master, slave = pty.openpty()
    # The terminal controls the new session because the session's leader is the first to open it there.
    opens = ["bash", "-c", 'exec 0<>"$0" 1>&0 2>&0; exec "$@"', os.ttyname(slave), *arguments]
    process = subprocess.Popen(opens, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **how)
    parts: list[bytes] = []
    user = threading.Thread(target=use_terminal, args=(row, master, parts))
    user.start()
    code: int | None
    try:
        code = process.wait(row.seconds)
    except subprocess.TimeoutExpired:
        code = None
    kill_group(process)
    process.wait()
    os.close(slave)
    user.join()
    os.close(master)
    return code, b"".join(parts), b""


def kill_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run(row: Row, build: Build, folder: Path, paths: list[Path]) -> Ending:
    """Stock and fork get the same folder one after the other, so that its path needs no normalising."""
    empty(folder)
    for name, content in row.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    way = on_terminal if row.terminal else on_pipes
    start = time.monotonic()
    code, out, err = way(row, command(row, build), cwd=folder, env=environment(row, build, folder, paths))
    seconds = time.monotonic() - start
    written = {name: content for name, content in left_in(folder).items() if name not in row.files}
    return Ending(name_of(code), {"stdout": out, "stderr": err}, written, seconds)
