"""What each thread does while the program ends, for the report: seen in a look now and then."""

import _thread
import sys
import threading

from . import _locks, _native, _where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Dict, Optional, Set, Tuple

RUNNING, WAITING, STOPPED, ENDED = 1, 2, 3, 4

# Between two looks. Looking takes at most this part of the time, and of a long wait a look is a small part.
SHORTEST, LONGEST = 0.02, 1.0
PART_OF_TIME = 0.05
PART_OF_WAIT = 0.01

# What took less is not worth a line.
NOTICED = 0.01

ENDED_WELL = "ended"
LEFT_RUNNING = "still running"


def _outermost(frame: "FrameType") -> "FrameType":
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


class Looks:
    def __init__(self, main: int) -> None:
        self._main = main
        self._began = _native.now()
        self._waits: "Optional[_where.Waits]" = None
        self._turn = _thread.allocate_lock()
        self._alive: "Dict[int, str]" = {}
        # The threads that are waited for, with where they were last, and since when.
        self._joined: "Dict[int, str]" = {}
        self._joined_since = 0.0
        # The exit callback that is run, since when, and where it was last.
        self._callback: "Optional[Tuple[Optional[CodeType], float, str]]" = None
        self.pause = SHORTEST

    def look(self, main_does: str = "") -> None:
        """`main_does` is what the main thread does, where its frames do not say it."""
        if not self._turn.acquire(False):
            return
        try:
            began = _native.now()
            self._look(began, main_does)
            now = _native.now()
            self.pause = min(max(SHORTEST, (now - began) / PART_OF_TIME, (now - self._began) * PART_OF_WAIT), LONGEST)
        finally:
            self._turn.release()

    def _look(self, now: float, main_does: str) -> None:
        frames = sys._current_frames()
        try:
            self._look_at(frames, now, main_does)
        finally:
            _where.looked_at()
            # The frame of this function is among them, and would keep all of them.
            frames.clear()

    def _look_at(self, frames: "Dict[int, FrameType]", now: float, main_does: str) -> None:
        stopped: "Set[int]" = set(_native.stopped_threads())
        locks = _locks.Locks()
        me = _native.this_thread()
        seen = [ident for ident, frame in frames.items() if ident == self._main or not self._is_ours(ident, me, frame)]
        if self._waits is None and len(seen) > 1:
            self._waits = _where.Waits()
        seen.sort(key=lambda ident: ident != self._main)
        _where.looking_at(seen)
        for ident in seen:
            what = _where.doing(ident, frames[ident], locks)
            if ident == self._main and (main_does or ident == me):
                what = main_does
            if ident in stopped:
                state = STOPPED
            elif ident == self._main and main_does.startswith("waiting"):
                state = WAITING
            elif self._waits is not None and self._waits.waits(getattr(_where.known(ident), "native_id", None)):
                state = WAITING
            else:
                state = RUNNING
            self._alive[ident] = _where.name(ident)
            _native.note_thread(ident, self._alive[ident], state, what)
            if ident in self._joined:
                started = _where.started(_where.known(ident))
                self._joined[ident] = "%s, %s%s" % (self._alive[ident], what, started)
        for ident in [ident for ident in self._alive if ident not in frames]:
            _native.note_thread(ident, self._alive.pop(ident), ENDED, "")
            if ident in self._joined:
                self._was_joined(self._joined.pop(ident), now, None)
        if self._callback is not None and self._main in frames:
            self._look_at_callback(frames[self._main], now)

    def _is_ours(self, ident: int, me: int, frame: "FrameType") -> bool:
        """Whether it is a thread of the package's: this one, or one that flushes a file."""
        is_unknown = ident not in threading._active  # type: ignore[attr-defined]
        return ident == me or (is_unknown and not _where.is_known(frame))

    # ---- threads that are waited for ----

    def joins_begin(self) -> None:
        self._joined_since = _native.now()
        for thread in threading.enumerate():
            if thread.ident is not None and thread.ident != self._main and not thread.daemon:
                self._joined[thread.ident] = ""
        self.look("waiting for the other threads to end")

    def joins_end(self) -> None:
        if not self._joined:
            return
        self.look("calling exit callbacks")
        now = _native.now()
        for ident, text in self._joined.items():
            self._was_joined(text, now, LEFT_RUNNING if ident in self._alive else None)
        self._joined.clear()

    def _was_joined(self, text: str, now: float, outcome: "Optional[str]") -> None:
        seconds = now - self._joined_since
        if text and seconds >= NOTICED:
            _native.note_wait(text, seconds, outcome)

    # ---- exit callbacks ----

    def callbacks_begin(self) -> None:
        self._callback = (None, _native.now(), "")

    def callbacks_end(self) -> None:
        # Not while another thread looks at it.
        with self._turn:
            self._end_callback(_native.now())
            self._callback = None

    def _look_at_callback(self, frame: "FrameType", now: float) -> None:
        outer = _outermost(frame)
        if not _where.is_known(outer) or self._callback is None:
            return
        code = outer.f_code
        text = "exit callback " + _where.at(code, code.co_firstlineno)
        if frame is not outer:
            text += ", " + _where.place(frame)
        known, since, _ = self._callback
        if known is not code:
            if known is not None:
                self._end_callback(now)
                since = now
            known = code
        self._callback = (known, since, text)

    def _end_callback(self, now: float) -> None:
        code, since, text = self._callback or (None, now, "")
        if code is not None and now - since >= NOTICED:
            _native.note_wait(text, now - since, ENDED_WELL)

    # ---- what the package itself waits for ----

    def waited(self, what: str, since: float, outcome: "Optional[str]") -> None:
        seconds = _native.now() - since
        if seconds >= NOTICED:
            _native.note_wait(what, seconds, outcome)
