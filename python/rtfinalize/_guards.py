"""Guards: what the end of the program waits for, besides threads."""

import sys

from . import _native, _where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Dict, List, Optional, Type

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


def every() -> "List[Guard]":
    """Those that are open."""
    return list(_open.values())
