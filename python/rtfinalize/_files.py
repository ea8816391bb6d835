"""Every file that Python knows: flushed once, once everything else has stopped; what cannot be written is counted."""

import _io
import gc
import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

    from ._looks import Looks

    from ._fields import Layout

_WRITERS = (_io.BufferedWriter, _io.BufferedRandom)
BUFFERS = _WRITERS + (_io.BufferedReader,)
_KINDS = BUFFERS + (_io.TextIOWrapper,)

_STANDARD = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")

# How often a lock is looked at that is waited for.
LOOK_SECONDS = 0.001

# So many types are looked for at once.
TYPES = 64

# Far more than a process lives.
LONGEST = 1e9

# How long a file may take to be flushed whose lock somebody may have, once there is no time left.
UNKNOWN_SECONDS = 0.05

# How long all files together may take that are given that time.
WASTED_SECONDS = 1.0

# So many files that lose bytes have a line of their own.
NAMED = 10


def _with_subclasses(kinds: "Iterable[type]") -> "Iterator[type]":
    for kind in kinds:
        yield kind
        yield from _with_subclasses(type.__subclasses__(kind))


def every(kinds: "Tuple[type, ...]" = _KINDS) -> "List[Any]":
    """All files of this interpreter, or all objects of these types: the oldest first, where the collector keeps them so."""
    types = tuple(_with_subclasses(kinds))
    found: "List[Any]" = []
    for age in (None,) if _native.IS_FREE_THREADED else (2, 1, 0):
        things = gc.get_objects(age)
        for first in range(0, len(types), TYPES):
            found += _native.of_types(things, types[first : first + TYPES])
    return found


def _in_order(files: "List[Any]") -> "List[Any]":
    """As they were opened, for several may have one destination.

    A collector without ages says nothing of that. There the descriptors do, as long as none was used again.
    """
    return sorted(files, key=_descriptor_of) if _native.IS_FREE_THREADED else files


def _descriptor_of(file: "Any") -> int:
    try:
        number = file.fileno()
    except Exception:
        return sys.maxsize
    return number if isinstance(number, int) else sys.maxsize


def may_lose_bytes() -> bool:
    """Whether a file is open that can be written to, and is not one of the standard streams."""
    return any(isinstance(file, _WRITERS) and not file.closed and not _standard_streams_of(file) for file in every())


def name_of(file: "Any") -> str:
    try:
        name = file.name
    except Exception:
        return "<no name>"
    return name if isinstance(name, str) else "descriptor %s" % name if isinstance(name, int) else repr(name)


def _standard_streams_of(file: object) -> "List[str]":
    """The names in `sys` under which the file, or the text over it, is a standard stream."""
    streams = [(name, getattr(sys, name, None)) for name in _STANDARD]
    return [name for name, stream in streams if stream is file or getattr(stream, "buffer", None) is file]


def _destination_of(file: "Any") -> "Any":
    """The buffer of a text file, which is one destination with it."""
    buffer = getattr(file, "buffer", None) if isinstance(file, _io.TextIOWrapper) else None
    return file if buffer is None else buffer


def _flush_of(file: "Any") -> "Callable[[Any], None]":
    """Past what a subclass makes of it: that is called as the object dies, as ever."""
    return next(kind for kind in _KINDS if isinstance(file, kind)).flush


def _found_layout() -> "Layout":
    from ._fields import layout

    return layout()


class Files:
    def __init__(self, inherited: "frozenset[int]", looks: "Optional[Looks]" = None) -> None:
        self._inherited = inherited
        self._looks = looks
        # What each destination held before it was flushed; for the report.
        self._held: "Dict[int, Tuple[str, int]]" = {}
        # Who has a lock is looked at only where that is known.
        self._layout: "Optional[Layout]" = None
        self._others: "Set[int]" = set()
        self._stopped: "Set[int]" = set()
        self._now: "Any" = None
        self._waits_for = ""
        # Those whose lock a thread has that may never give it back, and those that could not be flushed.
        self._stuck: "List[Any]" = []
        self._failed: "List[Tuple[Any, Exception]]" = []
        # Those whose flush somebody interrupted by Ctrl-C.
        self._interrupted: "List[Any]" = []
        # Whether a thread is left in the middle of a write.
        self.is_cut_off = False
        self._losses = self._others_lost = 0
        # For files whose locks others have, in all.
        self._waited = 0.0
        # For flushes that were not over in time.
        self._wasted = 0.0

    def look_out_for(self, others: "Set[int]", stopped: "List[int]") -> None:
        """There are these other threads, and of them these have stopped."""
        self._others, self._stopped = others, set(stopped)

    def have_stopped(self, stopped: "List[int]") -> None:
        self._stopped = set(stopped)

    def describe(self) -> str:
        return self._waits_for or ("" if self._now is None else "flushing %s" % name_of(self._now))

    def seconds_to_wait(self) -> float:
        """How long to wait for a lock that a thread may still give back."""
        grace, _, left = (us / 1e6 for us in _native.times())
        return min(grace, LONGEST) if left < 0 else min(grace, left / 2)

    def flush(self) -> None:
        files = every()
        if self._others or self._inherited:
            # Who has a lock, and what a file holds, matters only where somebody else may have locked one.
            self._layout = _found_layout()
        began = _native.now()
        until = began + self.seconds_to_wait()
        self._note_what_they_hold(files)
        for file in _in_order(files):
            is_ours = id(file) not in self._inherited and not isinstance(file, _io.BufferedReader)
            if is_ours and self._may_have_bytes(file):
                self._flush(file, until)
        for file in files:
            if isinstance(file, BUFFERS) and file not in self._stuck:
                # What somebody is reading loses nothing, and may never come.
                if not self._is_free(file, 0.0 if isinstance(file, _io.BufferedReader) else until):
                    self._stuck.append(file)
        self._waited = _native.now() - began
        for file in self._stuck + self._interrupted:
            self._keep(file)
        if self._others and not self._knows_holders():
            # Anybody may read from one of these.
            for file in files:
                if isinstance(file, _io.BufferedReader):
                    self._keep(file)

    def _note_what_they_hold(self, files: "List[Any]") -> None:
        if self._looks is None:
            return
        for file in files:
            count = 0 if id(file) in self._inherited else self._unwritten(file)
            if count:
                key = id(_destination_of(file))
                # The text over a buffer, which is younger, has the better name.
                self._held[key] = (name_of(file), self._held.get(key, ("", 0))[1] + count)

    def _note_what_arrived(self, files: "List[Any]") -> None:
        """What a destination held and does not hold any more is written; that of those that lost some is noted with that."""
        left: "Dict[int, int]" = {}
        for file in files if self._held else ():
            count = self._unwritten(file)
            if count:
                key = id(_destination_of(file))
                left[key] = left.get(key, 0) + count
        for key, (name, count) in self._held.items():
            if count > left.get(key, 0):
                _native.note_file(name, count - left.get(key, 0), 0, 0, None)
        self._held.clear()

    def _may_have_bytes(self, file: "Any") -> bool:
        return self._layout is None or self._layout.unwritten(file) != 0

    def _unwritten(self, file: "Any") -> "Optional[int]":
        """The bytes that a file holds, without those of its buffer; `None` if nobody knows."""
        return None if isinstance(file, _io.BufferedReader) else (self._layout or _found_layout()).unwritten(file)

    def _holder(self, file: "Any") -> int:
        """The other thread that has the lock of the file; 0 if none is known to."""
        buffer = getattr(file, "buffer", None) if isinstance(file, _io.TextIOWrapper) else file
        if self._layout is None or not isinstance(buffer, BUFFERS):
            return 0
        return self._layout.holder(buffer) or 0

    def _knows_holders(self) -> bool:
        return self._layout is not None and self._layout.owner is not None

    def _is_free(self, file: "Any", until: float) -> bool:
        """Whether nobody has the lock of the file, or whoever has it lets go in time."""
        since = _native.now()
        while True:
            holder = self._holder(file)
            is_over = holder in self._stopped or _native.now() >= until
            if holder == 0 or is_over:
                # Of a file that can be written to, and is cut off, `account` says so.
                if self._waits_for and self._looks is not None and (holder == 0 or isinstance(file, _io.BufferedReader)):
                    what = self._waits_for.replace("waiting for ", "", 1)
                    self._looks.waited(what, since, None if holder == 0 else "not given back")
                self._waits_for = ""
                return holder == 0
            if self._looks is not None and not self._waits_for:
                from . import _where

                self._waits_for = "waiting for the lock of %s, held by %s" % (name_of(file), _where.thread(holder))
                self._looks.look(self._waits_for)
            _native.pause(LOOK_SECONDS)

    def _flush(self, file: "Any", until: float) -> None:
        if not self._is_free(file, until):
            self._stuck.append(file)
            return
        if any(_destination_of(one) is _destination_of(file) for one in self._interrupted):
            self._interrupted.append(file)
            return
        since, is_over = _native.now(), True
        try:
            if not self._others <= self._stopped or (self._others and not self._knows_holders()):
                # Another thread may take the lock this very moment, or have it. Many files take long also where none does.
                least = UNKNOWN_SECONDS if self._wasted < WASTED_SECONDS else LOOK_SECONDS
                is_over = _native.within(max(until - since, least), lambda: self._write(file))
                if not is_over:
                    self._wasted += _native.now() - since
                # Where nobody knows who has its lock, somebody has.
                if not is_over and (self._holder(file) or not self._knows_holders()):
                    self._stuck.append(file)
            else:
                _native.interruptibly(lambda: self._write(file))
        except KeyboardInterrupt:
            self._interrupted.append(file)
        except Exception as error:
            self._failed.append((file, error))
        self._now = None
        if self._looks is not None:
            self._looks.waited("the flush of %s" % name_of(file), since, "ended" if is_over else "not over")

    def _write(self, file: "Any") -> None:
        # Who reads that it is flushed may interrupt it.
        self._now = file
        _flush_of(file)(file)

    def _keep(self, file: "Any") -> None:
        """Keeps the file from its finalizer, which would wait for its lock."""
        for name in _standard_streams_of(file):
            _native.keep(getattr(sys, name))
            setattr(sys, name, None)
        _native.keep(file)

    def rescue(self) -> None:
        """The process ends in a moment: what can be written without waiting, and the number of the bytes that cannot."""
        files = every()
        self._layout = self._layout or _found_layout()
        if not self._held:
            self._note_what_they_hold(files)
        for file in files:
            if isinstance(file, _io.BufferedReader) or self._unwritten(file) == 0 or self._holder(file):
                continue
            try:
                if self._knows_holders():
                    _flush_of(file)(file)
                else:
                    _native.within(UNKNOWN_SECONDS, _flush_of(file).__get__(file))
            except Exception:
                pass
        # A text file and its buffer are one destination; the text is younger, and is the one that has a name.
        lost: "Dict[int, Tuple[Any, int]]" = {}
        for file in files:
            left = self._unwritten(file)
            if left:
                key = id(_destination_of(file))
                lost[key] = (file, lost.get(key, (None, 0))[1] + left)
        for file, left in lost.values():
            self._lost(file, left, "the deadline passed")
        self.say_other_losses()
        self._note_what_arrived(files)

    def _lost(self, file: "Any", count: "Optional[int]", why: str) -> None:
        """A line for each of the first files that lose bytes: so many, or nobody knows how many."""
        self._losses += 1
        _native.output_was_lost()
        if count is None:
            why += "; how many bytes it holds is not known in this Python"
        # In the report it is one with what was written.
        held = self._held.pop(id(_destination_of(file)), ("", 0))[1]
        _native.note_file(name_of(file), max(held - (count or 0), 0), count or 0, 0, why)
        if self._losses > NAMED:
            self._others_lost += count or 0
        elif count is None:
            _native.tell("'%s': '%s' is not written: %s" % (_native.RUNTIME, name_of(file), why))
        else:
            _native.tell("'%s': %d bytes of '%s' are not written: %s" % (_native.RUNTIME, count, name_of(file), why))

    def say_other_losses(self) -> None:
        others = self._losses - NAMED
        if others > 0:
            _native.tell(
                "'%s': %d bytes of %d other file%s are not written; the report (RTFINALIZE_REPORT) names them"
                % (_native.RUNTIME, self._others_lost, others, "s" if others > 1 else "")
            )
        self._losses = self._others_lost = 0

    def account(self) -> None:
        from . import _where

        for file in self._stuck:
            holder = self._holder(file)
            why = "its lock is held by " + _where.thread(holder) if holder else "it is being flushed"
            if isinstance(file, BUFFERS):
                _native.note_leak(name_of(file), why)
            # What a thread of the parent was writing is the parent's.
            is_ours = id(file) not in self._inherited
            if is_ours and isinstance(file, _WRITERS) and holder not in self._stopped:
                self.is_cut_off = True
                _native.note_blocked("the lock of " + name_of(file), self._waited, "cut off: " + why)
                _native.tell("%s is cut off: %s" % (name_of(file), why))
        # A text file and its buffer are one destination.
        counted: "Set[int]" = set()
        ours = [file for file in self._stuck if id(file) not in self._inherited]
        unwritten: "List[Tuple[Any, object]]" = [(file, "its lock is held") for file in ours]
        unwritten += [(file, "interrupted") for file in self._interrupted]
        for file, reason in unwritten + list(self._failed):
            parts = [part for part in (file, getattr(file, "buffer", None)) if isinstance(part, _KINDS)]
            parts = [part for part in parts if id(part) not in counted]
            counted.update(map(id, parts))
            held = [self._unwritten(part) for part in parts if not isinstance(part, _io.BufferedReader)]
            left = None if None in held else sum(count or 0 for count in held)
            # What becomes of sys.stdout and sys.stderr CPython says itself.
            if held and left != 0 and (isinstance(reason, str) or not _standard_streams_of(file)):
                self._lost(file, left, str(reason))
        self.say_other_losses()
        self._note_what_arrived(every())
        # Their own finalizers have their say, too.
        self._failed.clear()
