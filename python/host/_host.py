"""The end of a Python that a host has embedded: what it has beside that of a program."""

import atexit
import sys
import threading

from . import _native, _where
from ._engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

# Of the signals that have no meaning of their own the last ones, which few programs use.
_SIGNALS_FROM, _SIGNALS_TO = 62, 40


def _nothing() -> None:
    pass


class Host(Engine):
    def __init__(self, collects: bool) -> None:
        Engine.__init__(self, frozenset(), collects)
        self._signal = 0
        self._handled_before: "object" = None

    @property
    def shutdown(self) -> "Callable[[], None]":
        """`threading._shutdown`; not what the package `rtfinalize` has put in its place, for this end is the host's."""
        package = sys.modules.get("rtfinalize")
        hand_over: "Optional[Callable[[], None]]" = getattr(package, "_hand_over", None)
        if hand_over is not None:
            hand_over()
        shutdown: "Callable[[], None]" = threading._shutdown  # type: ignore[attr-defined]
        return shutdown

    def interrupt_by_signal(self) -> int:
        """The number of a signal by which Python code of the main thread is interrupted, as by Ctrl-C; 0 if there is none.

        The host's own signals stay what they are.
        """
        import _signal  # type: ignore[import-not-found]

        for number in range(_SIGNALS_FROM, _SIGNALS_TO, -1):
            try:
                if _signal.getsignal(number) == _signal.SIG_DFL:
                    _signal.signal(number, _signal.default_int_handler)
                    self._signal = number
                    return number
            except (OSError, RuntimeError):
                # That one is not to be had.
                continue
            except ValueError:
                # This is not the main thread.
                break
        return 0

    def obstacle(self, has_open_guards: bool) -> str:
        """Why Python cannot be finalized; empty if it can."""
        stopped = set(_native.stopped_threads())
        others = [ident for ident in _native.thread_states() if ident not in stopped]
        if others:
            names = ", ".join(map(_where.thread, others[:8]))
            more = " and %d more" % (len(others) - 8) if len(others) > 8 else ""
            return "it may be touched again by %s%s" % (names, more)
        if has_open_guards:
            return "a guard is open still"
        if _native.interpreters() > 1:
            return "a subinterpreter is open still"
        return ""

    def finish(self) -> None:
        """Python is about to be finalized: what has been done is not to be done once more."""
        self.collect_again()
        if self._signal:
            import _signal

            _signal.signal(self._signal, _signal.SIG_DFL)
        threading._shutdown = _nothing  # type: ignore[attr-defined]
        # Those that were left out at the deadline.
        atexit._clear()
