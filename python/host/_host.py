"""The end of a Python that a host has embedded: what it has beside that of a program."""

import _signal  # type: ignore[import-not-found]
import atexit
import sys
import threading

from . import _native, _where
from ._engine import STOP_SECONDS, SWITCH_SECONDS, Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Callable, Optional

# How long a thread whose wait was ended may take to come back.
WAKE_SECONDS = 0.2


def _nothing() -> None:
    pass


def _wake(frame: "Optional[FrameType]") -> bool:
    """Ends the wait of a thread in `Condition.wait`, in which those for an event, a queue or a semaphore end up, too; it
    stops as it comes back. (From 3.14 on a thread is not stopped inside a lock.)"""
    if frame is None or frame.f_code is not threading.Condition.wait.__code__:
        return False
    try:
        frame.f_locals["waiter"].release()
    except (KeyError, RuntimeError):
        # It does not wait yet, or any more.
        return False
    return True


class Host(Engine):
    def __init__(self, collects: bool, is_reported: bool) -> None:
        Engine.__init__(self, frozenset(), collects, is_reported)
        self._signal = 0

    @property
    def shutdown(self) -> "Callable[[], None]":
        """`threading._shutdown`; not what the package `rtfinalize` has put in its place, for this end is the host's."""
        package = sys.modules.get("rtfinalize")
        hand_over: "Optional[Callable[[], None]]" = getattr(package, "_hand_over", None)
        if hand_over is not None:
            hand_over()
        main = threading.main_thread()
        locks = getattr(threading, "_shutdown_locks", None)
        if locks is not None and main.ident != self._main:
            # Until 3.12 the main thread is waited for by all others. It is the host's, and does not end.
            with threading._shutdown_locks_lock:  # type: ignore[attr-defined]
                locks.discard(main._tstate_lock)  # type: ignore[attr-defined]
        shutdown: "Callable[[], None]" = threading._shutdown  # type: ignore[attr-defined]
        return shutdown

    def interrupt_by(self, number: int) -> bool:
        """Has this signal interrupt Python code as Ctrl-C does."""
        try:
            _signal.signal(number, _signal.default_int_handler)
        except ValueError:
            # This is not the main thread.
            return False
        self._signal = number
        return True

    def stop_threads(self) -> None:
        """Also those that wait in a system call, which would come back into a Python that is gone."""
        Engine.stop_threads(self)
        woken = set()
        unanswered = 0.0
        for ident in self.unstopped:
            thread = threading._active.get(ident)  # type: ignore[attr-defined]
            # Of a thread that Python did not start nobody knows whether it is there still.
            if thread is None or isinstance(thread, threading._DummyThread) or not thread.native_id:
                continue
            since = _native.now()
            if unanswered < STOP_SECONDS and _native.stop_sleeper(thread.native_id, ident):
                continue
            unanswered += _native.now() - since
            if _wake(sys._current_frames().get(ident)):
                woken.add(ident)
        until = _native.now() + WAKE_SECONDS
        while woken.difference(_native.stopped_threads()) and _native.now() < until:
            _native.pause(SWITCH_SECONDS)
        stopped = _native.stopped_threads()
        self.unstopped.difference_update(stopped)
        self.files.have_stopped(stopped)

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

    def leave(self) -> None:
        """What was changed for this end is as before."""
        self.collect_again()
        if self._signal:
            _signal.signal(self._signal, _signal.SIG_DFL)

    def finish(self) -> None:
        """Python is about to be finalized: what has been done is not to be done once more."""
        self.leave()
        threading._shutdown = _nothing  # type: ignore[attr-defined]
        # Those that were left out at the deadline.
        atexit._clear()
