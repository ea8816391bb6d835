"""Subinterpreters that a program leaves open: CPython ends them, unless one still runs."""

import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The module's name until 3.12, and since.
_MODULES = ("_xxsubinterpreters", "_interpreters")


def _are_running() -> bool:
    for name in _MODULES:
        module: "Any" = sys.modules.get(name)
        for each in module.list_all() if module is not None else ():
            number = each[0] if isinstance(each, tuple) else each
            if int(number) != 0 and module.is_running(number):
                return True
    return False


class Subinterpreters:
    def __init__(self) -> None:
        # Whether one is at work in another thread. CPython aborts then, or loses what its files hold.
        self.are_busy = False
        # Whether something that their files hold may not have been written.
        self.are_cut_off = False

    def flush(self, seconds: float) -> None:
        """Stops their threads and flushes their files, waiting for each of them so many seconds."""
        try:
            self.are_busy = _are_running()
        except Exception:
            # One that ends just now.
            self.are_busy = True
        late, lost, busy = _native.flush_subinterpreters(seconds)
        self.are_busy |= late > 0 or busy > 0
        self.are_cut_off |= late > 0 or lost > 0
        if late:
            _native.tell("the files of %d subinterpreter%s could not be flushed in time" % (late, "s" if late > 1 else ""))
        if lost:
            _native.tell("%d file%s of subinterpreters could not be written" % (lost, "s" if lost > 1 else ""))
