"""Guards: what the end of the program waits for, besides threads."""

import functools
import sys
import threading

from . import _native, _where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Dict, List, Optional, Type

_open: "Dict[int, Guard]" = {}


class Guard:
    """While it is open, the end of the program waits before it stops threads and flushes files.

    It is for work that Python does not see, such as a native library that calls back: open it when the callback is
    registered, and close it, on any thread, when no call can come any more. `with Guard("camera"):` does both. The end
    waits for it if `install()` was called; with a deadline no longer than that. `RuntimeError` if the end has begun.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._handle = _native.guard_acquire(name)
        frame = sys._getframe(1)
        self._opened = (frame.f_code, frame.f_lineno)
        _open[id(self)] = self

    @property
    def is_open(self) -> bool:
        return self._handle != 0

    def close(self) -> None:
        """Closes it; of one that is closed nothing happens."""
        handle, self._handle = self._handle, 0
        if handle != 0:
            _open.pop(id(self), None)
            _native.guard_release(handle)

    def __enter__(self) -> "Guard":
        return self

    def __exit__(
        self, kind: "Optional[Type[BaseException]]", raised: "Optional[BaseException]", trace: "Optional[TracebackType]"
    ) -> None:
        self.close()

    def describe(self) -> str:
        """`guard 'camera' is open, opened in main (app.py:12)`."""
        return "guard '%s' is open, opened in %s" % (self.name, _where.at(*self._opened))


class _Call(Guard):
    """The guard of a call of a pinned function."""

    def __init__(self, name: str, function: "Callable[..., Any]") -> None:
        Guard.__init__(self, name)
        self._function = function

    def describe(self) -> str:
        """`callback 'on_frame' runs, on_frame (app.py:12)`."""
        code = getattr(self._function, "__code__", None)
        where = "" if code is None else ", " + _where.at(code, code.co_firstlineno)
        return "callback '%s' runs%s" % (self.name, where)


def pin(function: "Callable[..., Any]", name: "Optional[str]" = None, late: "Any" = None) -> "Callable[..., Any]":
    """The function, for native code to call back on any thread: the end of the program waits for calls that run.

    Once the end has begun, a thread that Python did not start gets `late`, and the function is not called; the main
    thread and those that Python has started call it as long as they run. `@pin` will do, too.
    """
    names = str(getattr(function, "__qualname__", function)) if name is None else name

    @functools.wraps(function)
    def call(*args: "Any", **named: "Any") -> "Any":
        try:
            guard = _Call(names, function)
        except RuntimeError:
            if isinstance(_where.known(_native.this_thread()), (threading._DummyThread, type(None))):
                return late
            return function(*args, **named)
        with guard:
            return function(*args, **named)

    return call


def every() -> "List[Guard]":
    """Those that are open."""
    return list(_open.values())
