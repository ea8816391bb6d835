"""Why a program is still running."""

import atexit
import os
import sys
import threading

from . import _guards, _locks, _native, _where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, TextIO

    from ._engine import Engine

# How long to wait for a reader of stderr, and how much may then be written without waiting.
ROOM_MS = 1000
PIECE = 4096


def _count(number: int, of: str) -> str:
    return "%d %s%s" % (number, of, "" if number == 1 else "s")


def _lines(without: "Optional[int]", is_ending: bool, engine: "Optional[Engine]") -> "List[str]":
    # No lock of `threading` is taken: the thread that has it may be the one that is stuck.
    frames = sys._current_frames()
    me = _native.this_thread()
    # Not where this function looks, but who asked.
    asked = frames.get(me)
    while asked is not None and asked.f_back is not None and _where.is_ours(asked):
        asked = frames[me] = asked.f_back
    active = list(threading._active.items())  # type: ignore[attr-defined]
    main = _native.main_thread() or threading.main_thread().ident
    daemons = {ident for ident, known in active if known.daemon}
    # A dummy stands for a thread that Python did not start, and stays when that has ended.
    idents = {i: None for i, known in active if i in frames or not isinstance(known, threading._DummyThread)}
    idents.update((ident, None) for ident in frames)
    for ident in list(idents):
        # gevent has it by the number of a greenlet, too.
        if ident != main and _where.known(ident) is threading.main_thread():
            del idents[ident]
    idents.pop(without or 0, None)
    locks = _locks.Locks()
    flushing = "" if engine is None else engine.files.describe()
    lines = ["rtfinalize: process %d is %s:" % (os.getpid(), "ending" if is_ending else "running")]
    for ident in sorted(idents, key=lambda ident: (ident != main, ident in daemons)):
        if ident == main and flushing:
            line = "%s, %s%s" % (_where.name(main), flushing, _where.call(threading.main_thread().native_id))
        else:
            line = _where.thread(ident, frames, locks)
        lines.append("  " + line)
    lines += ["  " + guard.describe() for guard in _guards.every()]
    # The frame of this function is among them, and would keep all of them.
    frames.clear()
    callbacks = atexit._ncallbacks()
    if callbacks > 0:
        lines.append("  %s" % _count(callbacks, "exit callback"))
    return lines


def describe(without: "Optional[int]", is_ending: bool, engine: "Optional[Engine]") -> str:
    """Every thread but `without`, and what else the end waits for; a line each."""
    lines = _lines(without, is_ending, engine)
    return "".join("".join(c if c.isprintable() else "?" for c in line) + "\n" for line in lines)


def _write(descriptor: int, text: str) -> None:
    """Writes past the stream, whose lock another thread may have, and not to a pipe that nobody reads."""
    data = text.encode("utf-8", "backslashreplace")
    while data and _native.has_room(descriptor, ROOM_MS):
        data = data[os.write(descriptor, data[:PIECE]) :]


def write(text: str, file: "Optional[TextIO]") -> None:
    """Writes to the file, or to stderr."""
    stream: "Any" = sys.stderr if file is None else file
    if stream is None:
        return
    is_stderr = file is None and stream is sys.__stderr__
    if not is_stderr:
        stream.write(text)
        stream.flush()
        return
    try:
        _write(stream.fileno(), text)
    except (OSError, ValueError):
        pass
