"""Where threads are, where they were started and what they wait for, in words that a person recognises."""

import _thread
import os
import stat
import sys
import threading

from . import _fields, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Dict, Iterator, List, Optional, Tuple

    from ._locks import Locks

# A person knows their own function, and not the one of these that it waits in.
_US = __name__.rpartition(".")[0]
_OF_PYTHON = frozenset(
    (
        "threading", "queue", "concurrent.futures.thread", "concurrent.futures._base", "concurrent.futures.process",
        "asyncio", "_frozen_importlib", "_frozen_importlib_external", _US,
    )
)
_BELOW = ("asyncio.", "importlib.", "multiprocessing.", _US + ".")

# The attribute of a thread that says where it was started (`_starts`).
STARTED = "_rtfinalize_started"


def is_known(frame: "FrameType") -> bool:
    """Whether a person knows the function: it is not one of Python's own or of ours."""
    module = frame.f_globals.get("__name__", "")
    return not isinstance(module, str) or not (module in _OF_PYTHON or module.startswith(_BELOW))


def is_ours(frame: "FrameType") -> bool:
    """Whether it is a function of this package."""
    module = frame.f_globals.get("__name__", "")
    return isinstance(module, str) and (module == _US or module.startswith(_US + "."))


def at(code: "CodeType", line: int) -> str:
    """`fetch (app.py:12)`."""
    return "%s (%s:%d)" % (getattr(code, "co_qualname", code.co_name), code.co_filename, line)


def place(frame: "Optional[FrameType]") -> str:
    """`in fetch (app.py:12)`, of the innermost frame that is not Python's own."""
    inner = frame
    while frame is not None and not is_known(frame):
        if frame.f_code.co_name == "_shutdown" and frame.f_globals.get("__name__") == "threading":
            return "waiting for the other threads to end"
        if _is_worker(frame) and _local(frame, "work_item") is None:
            return "waiting for work"
        frame = frame.f_back
    frame = frame if frame is not None else inner
    if frame is None:
        return "outside Python"
    return "in " + at(frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno)


def joined(frame: "Optional[FrameType]") -> "Optional[threading.Thread]":
    """The thread whose end is waited for."""
    while frame is not None and not is_known(frame):
        if frame.f_code.co_name == "join" and frame.f_globals.get("__name__") == "threading":
            thread = _local(frame, "self")
            return thread if isinstance(thread, threading.Thread) else None
        frame = frame.f_back
    return None


def _locals(frame: "FrameType") -> "Dict[str, Any]":
    names = frame.f_locals
    values = dict(names)
    # Until 3.12 this is a copy, which would keep what the frame has long let go. A debugger works with the same copy.
    if type(names) is dict and frame.f_trace is None and frame.f_code.co_name != "<module>":
        names.clear()
    return values


def _local(frame: "FrameType", name: str) -> "Any":
    return _locals(frame).get(name)


# ---- what a worker of a pool works on ----


def _name_of(function: "Any", arguments: "Tuple[Any, ...]") -> str:
    """`crunch (app.py:5)`, of a function that may be wrapped."""
    for _ in range(8):
        if arguments and type(getattr(function, "__self__", None)).__name__ == "Context":
            # asyncio.to_thread and grpc have the function called by `context.run`.
            function, arguments = arguments[0], arguments[1:]
        elif type(function).__module__ == "functools" and hasattr(function, "func"):
            function, arguments = function.func, getattr(function, "args", ()) + arguments
        else:
            break
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return "%s (%s:%d)" % (name, code.co_filename, code.co_firstlineno) if code is not None else str(name)


def _work(frame: "Optional[FrameType]") -> str:
    """`, working on crunch (app.py:5)`, of a worker of `concurrent.futures`; else nothing."""
    while frame is not None and not _is_worker(frame):
        frame = frame.f_back
    item: "Any" = None if frame is None else _local(frame, "work_item")
    # 3.14 keeps function and arguments in `task`.
    work = item.task if hasattr(item, "task") else (getattr(item, "fn", None), getattr(item, "args", ()))
    return "" if work[0] is None else ", working on " + _name_of(*work[:2])


def _is_worker(frame: "FrameType") -> bool:
    return frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == "concurrent.futures.thread"


# ---- system calls ----

_machine = os.uname().machine
_FUTEX = {"x86_64": b"202", "aarch64": b"98"}.get(_machine)


# What `looking_at` has found out beforehand.
_remembered: "Dict[int, List[bytes]]" = {}


def looking_at(idents: "List[int]") -> None:
    """The threads that are asked about next. To ask for each by itself lets the interpreter's lock go each time, which
    comes back late where threads are busy."""
    native_ids = [getattr(known(ident), "native_id", None) or 0 for ident in idents]
    _remembered.clear()
    _remembered.update(zip(native_ids, (words.split() for words in _native.system_calls(native_ids))))


def looked_at() -> None:
    _remembered.clear()


def _system_call(native_id: "Optional[int]") -> "List[bytes]":
    """The number of the system call that a thread is in, and its arguments; empty if nobody knows."""
    # The calling thread is in the one that asks.
    if native_id is None or native_id == _native.this_native_thread():
        return []
    remembered = _remembered.get(native_id)
    if remembered is not None:
        return remembered
    return _native.system_calls([native_id])[0].split()


def call(native_id: "Optional[int]") -> str:
    """`, in write of descriptor 1 (/dev/pts/0)`: the system call that another thread is in, or nothing."""
    # The calling thread is in the one that asks.
    if native_id in (None, _native.this_native_thread()):
        return ""
    words = _native.whereabouts(native_id)
    # Asleep is a thread in every wait, and what it waits for is said in words of Python's.
    return ", " + words if words.startswith("in ") else ""


# Of these a thread that waits for others or for time comes to no harm.
_WAITS = frozenset(
    {
        "x86_64": b"202 35 230 219 7 271 23 270 232 281 45 47 44 46 43 288 42 61 247 128 130 34 220 70 73 208",
        "aarch64": b"98 101 115 128 73 72 22 207 212 206 211 202 242 203 260 95 137 133 192 188 32 4",
    }
    .get(_machine, b"")
    .split()
)
_READS_AND_WRITES = frozenset({"x86_64": b"0 1 19 20", "aarch64": b"63 64 65 66"}.get(_machine, b"").split())


def works(native_id: "Optional[int]") -> bool:
    """Whether another thread is at work: neither in a call that waits nor gone."""
    words = _system_call(native_id)
    if words[:1] == [b"running"]:
        return True
    if len(words) < 2 or words[0].startswith(b"-") or words[0] in _WAITS or not _WAITS:
        return False
    if words[0] in _READS_AND_WRITES:
        try:
            return stat.S_ISREG(os.fstat(int(words[1], 16) & 0xFFFFFFFF).st_mode)
        except OSError:
            return False
    return True


def sleeps_at(native_id: "Optional[int]") -> int:
    """The address of the lock that a thread sleeps for; 0 if it does not."""
    words = _system_call(native_id)
    return int(words[1], 16) if len(words) > 1 and words[0] == _FUTEX else 0


# ---- what a thread waits for ----

# By module and function; the object whose function it is says the rest.
_WAITS_IN = {
    ("threading", "wait"): "waiting for %s",
    ("threading", "wait_for"): "waiting for %s",
    ("threading", "acquire"): "waiting for %s",
    ("threading", "__enter__"): "waiting for %s",
    ("queue", "get"): "waiting for something in %s",
    ("queue", "put"): "waiting for room in %s",
    ("queue", "join"): "waiting for %s to be worked off",
    ("concurrent.futures._base", "result"): "waiting for %s",
    ("concurrent.futures._base", "exception"): "waiting for %s",
}


_LOCKS = (type(_thread.allocate_lock()), _thread.RLock)


def _locks_known_to(frame: "Optional[FrameType]") -> "Iterator[Tuple[str, Any]]":
    """The locks that a function's variables refer to, and those of the program's main module, by their names."""
    main = getattr(sys.modules.get("__main__"), "__dict__", {})
    places = [main] if frame is None else [_locals(frame), frame.f_globals, main]
    for place in places:
        for known, value in list(place.items()):
            if type(value) in _LOCKS:
                yield known, value
    for owner in ("self", "cls"):
        values = getattr(places[0].get(owner), "__dict__", {})
        yield from ((owner + "." + known, value) for known, value in list(values.items()) if type(value) in _LOCKS)


def _lock_waited_for(frame: "Optional[FrameType]", words: "List[bytes]") -> str:
    """`the lock 'lock'`, or `a lock`, if that is what the thread sleeps for, which is in this system call."""
    # A sleep that has an end may be one for the interpreter's lock.
    if len(words) < 5 or words[0] != _FUTEX or int(words[4], 16) != 0:
        return ""
    address = int(words[1], 16)
    for known, lock in _locks_known_to(frame):
        # From 3.14 on a thread sleeps elsewhere, and nobody knows for which lock.
        if address in _fields.words_of(lock):
            owner = repr(lock).partition(" owner=")[2].split(" ")[0]
            holder = ", which %s holds" % name(int(owner)) if owner.isdigit() and int(owner) else ""
            return "the lock '%s'%s" % (known, holder)
    return "a lock"


def _waits(frame: "Optional[FrameType]", native_id: "Optional[int]") -> str:
    other, called = joined(frame), None
    if other is not None:
        return "waiting for %s to end" % name(other.ident)
    if frame is None or is_known(frame):
        lock = _lock_waited_for(frame, _system_call(native_id))
        return "waiting for " + lock if lock else ""
    while frame is not None and not is_known(frame):
        # The outermost of them is what the program has called.
        if _function(frame) in _WAITS_IN:
            called = frame
        frame = frame.f_back
    if called is None:
        return ""
    kind = type(_local(called, "self")).__name__
    return _WAITS_IN[_function(called)] % (("an " if kind[:1] in "AEIOU" else "a ") + kind)


def _function(frame: "FrameType") -> "Tuple[Any, str]":
    return frame.f_globals.get("__name__"), frame.f_code.co_name


def waits(frame: "Optional[FrameType]", native_id: "Optional[int]") -> str:
    """`, waiting for the lock 'lock'`, of another thread whose innermost frame this is, or nothing."""
    try:
        text = _waits(frame, native_id)
    except Exception:
        # The program's own types, too, stand in the variables of its functions.
        text = ""
    return ", " + text if text else ""


class Waits:
    """Whether a thread waits for something, or only for its turn in the interpreter."""

    # The parts of the interpreter's lock, which a thread may sleep at in turn, are no further from each other.
    SIZE = 512

    def __init__(self) -> None:
        words = _native.lock_wait().split()
        self._turn = int(words[1], 16) if len(words) > 1 and words[0] == _FUTEX else 0

    def waits(self, native_id: "Optional[int]") -> bool:
        words = _system_call(native_id)
        if len(words) < 2 or words[0].startswith(b"-"):
            return False
        return not self._turn or abs(sleeps_at(native_id) - self._turn) >= self.SIZE


# ---- threads ----


def known(ident: "Optional[int]") -> "Optional[threading.Thread]":
    """What `threading` knows of a thread. gevent has it know the main one by the number of a greenlet."""
    thread: "Optional[threading.Thread]" = threading._active.get(ident)  # type: ignore[attr-defined]
    if thread is None and ident and ident == _native.main_thread():
        return threading.main_thread()
    return thread


def name(ident: "Optional[int]") -> str:
    """`thread 'fetcher'`, or `daemon thread 'fetcher'`."""
    thread = known(ident)
    if thread is None:
        return "thread %s" % ident
    return "%sthread '%s'" % ("daemon " if thread.daemon else "", thread.name)


def started(thread: "Optional[threading.Thread]") -> str:
    """`, started in main (app.py:30)`, if that was noted."""
    noted: "Optional[Tuple[CodeType, int, int]]" = getattr(thread, STARTED, None)
    return "" if noted is None else ", started in " + at(noted[0], noted[1])


def thread(
    ident: "Optional[int]", frames: "Optional[Dict[int, FrameType]]" = None, locks: "Optional[Locks]" = None
) -> str:
    """`thread 'fetcher', in fetch (app.py:12), in read of descriptor 3, started in main (app.py:30)`."""
    frame = sys._current_frames().get(ident or 0) if frames is None else frames.get(ident or 0)
    does = doing(ident, frame, locks)
    # It may be the frame of this very function, which would keep itself and all below it.
    frame = None
    return "".join((name(ident), ", ", does, started(known(ident))))


def doing(ident: "Optional[int]", frame: "Optional[FrameType]", locks: "Optional[Locks]" = None) -> str:
    """`in fetch (app.py:12), in read of descriptor 3`: where it is, what it waits for, and whose locks it has."""
    native_id = getattr(known(ident), "native_id", None)
    try:
        work = _work(frame)
    except Exception:
        # The function that was submitted is the program's, and may do anything when asked for its name.
        work = ""
    held = "" if locks is None else locks.of(ident, native_id)
    where = place(frame)
    # A file's lock is the one that a person knows.
    waited_for = "" if "waits for" in held else waits(frame, native_id)
    return "".join((where, waited_for, call(native_id), held, work))
