"""The end of a program: what is done in each of the library's phases.

An engine is made for one finalization. The library calls its steps in their order, each with the interpreter's lock, and
bounds and watches them; the watch thread is the library's own and needs no Python.
"""

import atexit
import gc
import sys
import threading

from . import _files, _native, _subinterpreters, _where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Set

    from ._looks import Looks

# How long threads are given to come to a place where they stop.
STOP_SECONDS = 0.5

# The same where the process is about to end: the flush that follows has the rest of half a second.
LAST_STOP_SECONDS = 0.2

# A thread that waits for the interpreter's lock asks for it every 5 ms.
SWITCH_SECONDS = 0.005

# More threads than these are counted.
NAMED = 8


def _is_foreign(ident: int) -> bool:
    thread = _where.known(ident)
    return thread is None or isinstance(thread, threading._DummyThread)


class Engine:
    # A child of multiprocessing may end without.
    runs_callbacks = True

    def __init__(self, inherited: "frozenset[int]", collects: bool, is_reported: bool = False) -> None:
        self._collects = collects
        self._looks: "Optional[Looks]" = None
        if is_reported:
            from ._looks import Looks

            self._looks = Looks(_native.this_thread())
        self.files = _files.Files(inherited, self._looks)
        self.subinterpreters = _subinterpreters.Subinterpreters()
        self._doing: "Optional[Callable[[], str]]" = None
        self._main = _native.this_thread()
        # What `threading._shutdown` raised.
        self.raised: "Optional[BaseException]" = None
        # Whether a thread has been in Python that Python did not start. It may come again at any time, also once there is
        # no Python.
        self.has_foreign_threads = False
        self.unstopped: "Set[int]" = set()

    @property
    def has_threads_at_work(self) -> bool:
        """Whether a thread works in native code, whose memory libc's exit handlers may free (OpenSSL's do)."""
        known = map(_where.known, self.unstopped)
        return any(_where.works(getattr(thread, "native_id", None)) for thread in known)

    # ---- what takes long ----

    def collect_again(self) -> None:
        if self._collects:
            gc.enable()

    def _may_wait(self, doing: "Callable[[], str]") -> None:
        self._doing = doing
        # For hours, perhaps.
        self.collect_again()
        _native.may_wait()
        _, notice, left = _native.times()
        bounds = [us / 1e6 for us in (notice, left) if us > 0]
        if self._looks is not None and len(sys._current_frames()) > 1:
            # A program with one thread gets no second one for that.
            _native.narrate_after(self._looks.pause, self._looks.pause)
        elif bounds:
            first = min(bounds)
            _native.narrate_after(max(first - 0.1, first * 0.5), 1.0)

    def describe(self) -> str:
        """What the finalizing thread does just now; called on another thread."""
        text = "" if self._doing is None else self._doing()
        if self._looks is not None:
            self._looks.look(self.files.describe())
            _native.narrate_after(self._looks.pause, self._looks.pause)
        return text

    def _threads_waited_for(self) -> str:
        frames = sys._current_frames()
        # A pool's worker is waited for also if it is a daemon, as one is that a daemon's work has started.
        joined = _where.joined(frames.get(self._main))
        waited_for = [
            _where.thread(t.ident, frames)
            for t in threading.enumerate()
            if (t is joined or not t.daemon) and t.ident != self._main and t.ident in frames
        ]
        # The frame of this function is among them, and would keep all of them.
        frames.clear()
        if not waited_for:
            return self._callback()
        more = len(waited_for) - NAMED
        return "waiting for " + ", ".join(waited_for[:NAMED]) + (" and %d more" % more if more > 0 else "")

    def _callback(self) -> str:
        frames = sys._current_frames()
        frame = frames.get(self._main)
        main = _where.known(self._main)
        native_id = getattr(main, "native_id", None)
        where = "in a function that is not written in Python" if frame is None else _where.place(frame)
        joined = _where.joined(frame)
        if joined is not None and joined.ident in frames:
            where += ", waiting for " + _where.thread(joined.ident, frames)
        else:
            where += _where.waits(frame, native_id) + _where.call(native_id)
        # One of these may be the frame of this function.
        frame = None
        frames.clear()
        return where

    def say_what_is_cut_short(self) -> None:
        """On another thread, before what takes longer than it may is interrupted."""
        words = self.describe() or "the end of the program"
        if self._doing == self._callback:
            words = "an exit callback, " + words
        _native.tell("'%s': cut short at the deadline: %s" % (_native.RUNTIME, words))

    # ---- the steps ----

    def threads_are_joined(self) -> None:
        waits = any(not t.daemon and t.ident != self._main for t in threading.enumerate())
        if waits or getattr(threading, "_threading_atexits", None):
            if self._looks is not None:
                self._looks.joins_begin()
            self._may_wait(self._threads_waited_for)

    def threads_were_joined(self) -> None:
        if self._looks is not None:
            self._looks.joins_end()

    def callbacks_are_run(self) -> None:
        if self._looks is not None:
            self._looks.callbacks_begin()
        if self.runs_callbacks and atexit._ncallbacks() > 0:
            self._may_wait(self._callback)

    def stop_threads(self) -> None:
        self._doing = None
        if self._looks is not None:
            self._looks.callbacks_end()
            self._looks.look("stopping the threads")
        if len(sys._current_frames()) > 1:
            # Before anything else: without the interpreter's lock, threads that run make all of this slow.
            _native.stop_threads()
        since = _native.now()
        until, seen = since + STOP_SECONDS, -1
        while True:
            stopped = _native.stopped_threads()
            others = set(sys._current_frames()) - {self._main}
            self.files.look_out_for(others, stopped)
            self.has_foreign_threads |= any(_is_foreign(ident) for ident in others)
            self.unstopped = others.difference(stopped)
            now = _native.now()
            if not self.unstopped or now > until:
                return
            if len(stopped) != seen:
                seen, since = len(stopped), now
            elif now - since > 3 * SWITCH_SECONDS:
                # Nobody stopped in that time: the others sleep, and stop when they come back.
                return
            _native.stop_threads()
            _native.pause(SWITCH_SECONDS)

    def flush_files(self) -> None:
        if self._looks is not None:
            self._looks.look("flushing files")
        self._doing = self.files.describe
        self.subinterpreters.flush(self.files.seconds_to_wait())
        self.files.flush()
        self._doing = None

    def rescue_files(self) -> None:
        """On another thread, while the finalizing one is stuck in a callback and the process is about to end."""
        if self._looks is not None:
            self._looks.look()
        self._stop_the_rest()
        self.files.rescue()

    def _stop_the_rest(self) -> None:
        """What a thread writes from now on, the finalizing one included, would neither arrive nor be counted."""
        me = _native.this_thread()
        since, seen = _native.now(), -1
        until = since + LAST_STOP_SECONDS
        while len(sys._current_frames()) > 1 and _native.now() < until:
            _native.stop_all_threads()
            stopped = _native.stopped_threads()
            now = _native.now()
            if len(stopped) != seen:
                seen, since = len(stopped), now
            if not set(sys._current_frames()).difference(stopped, (me,)) or now - since > 3 * SWITCH_SECONDS:
                return
            _native.pause(SWITCH_SECONDS)

    def account_for_files(self) -> None:
        self.files.account()
        if self._looks is not None:
            self._looks.look("ending")
