"""What a test leaves behind, or a fixture: threads, files with unwritten bytes, open guards."""

import fnmatch
import gc
import io
import sys
import threading
import weakref

from . import _files, _guards, _native, _where
from ._fields import layout
from ._locks import Locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Tuple

    Reference = weakref.ref[Any]

_FILES = (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)


def _pool_of(thread: threading.Thread) -> "Any":
    """The pool of `concurrent.futures` whose worker it is."""
    arguments = getattr(thread, "_args", None) or (None,)
    pool = arguments[0]() if isinstance(arguments[0], weakref.ref) else None
    module = sys.modules.get("concurrent.futures.thread")
    return pool if module is not None and isinstance(pool, module.ThreadPoolExecutor) else None


class Things:
    """Objects that one owner brought into being. They are not kept alive."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._references: "List[Reference]" = []

    def add(self, things: "Iterable[Any]") -> None:
        self._references.extend(map(weakref.ref, things))

    def alive(self) -> "List[Any]":
        return [thing for thing in (reference() for reference in self._references) if thing is not None]

    def have(self, thing: object) -> bool:
        return any(reference() is thing for reference in self._references)


class Leaks:
    """Records which threads, files and guards exist, and which test or fixture created each."""

    def __init__(self, grace: float, ignored_threads: "List[str]", ignored_files: "List[str]") -> None:
        self._grace = grace
        self._ignored_threads = ignored_threads
        self._ignored_files = ignored_files
        self._known: "Dict[int, Reference]" = {}
        self._test = Things("")
        self._runs_test: "Optional[int]" = None
        self._fixtures: "Dict[int, Things]" = {}
        self._ended: "List[Things]" = []

    # ---- who brought what ----

    def _new(self) -> "List[Any]":
        """What has come since this was asked last."""
        kinds: "List[type]" = list(_FILES)
        for module, name in (("concurrent.futures.thread", "ThreadPoolExecutor"), ("asyncio.events", "AbstractEventLoop")):
            if module in sys.modules:
                kinds.append(getattr(sys.modules[module], name))
        threads = list(threading._active.values())  # type: ignore[attr-defined]
        found: "Dict[int, Reference]" = {}
        new = []
        for thing in threads + _files.every(tuple(kinds)) + _guards.every():
            try:
                found[id(thing)] = weakref.ref(thing)
            except TypeError:
                continue
            known = self._known.get(id(thing))
            if known is None or known() is not thing:
                new.append(thing)
        self._known = found
        return new

    def begin_test(self, name: str) -> None:
        self._new()
        self._test = Things(name)
        self._runs_test = threading.get_ident()

    def begin_fixture(self) -> None:
        """A fixture that outlives the test is set up: what has come until now is the test's."""
        self._test.add(self._new())

    def end_fixture_setup(self, key: int, name: str) -> None:
        things = self._fixtures.setdefault(key, Things(name))
        things.add(self._new())

    def end_fixture(self, key: int) -> None:
        things = self._fixtures.pop(key, None)
        if things is not None:
            self._ended.append(things)

    def _give_away(self, thread: threading.Thread) -> bool:
        """Whether a thread that began during the test belongs to somebody else: to the pool that it works for, or to the
        thread that started it."""
        pool = _pool_of(thread)
        owner: "Any" = None
        if pool is not None:
            # The default pool of a loop is made when it is needed.
            kind = getattr(sys.modules.get("asyncio.events"), "AbstractEventLoop", None)
            loops = [] if kind is None else _files.every((kind,))
            owner = next((loop for loop in loops if getattr(loop, "_default_executor", None) is pool), pool)
        else:
            noted = getattr(thread, _where.STARTED, None)
            starter = noted[2] if noted is not None else self._runs_test
            if starter != self._runs_test:
                owner = threading._active.get(starter)  # type: ignore[attr-defined]
        if owner is None or self._test.have(owner):
            return False
        for things in list(self._fixtures.values()) + self._ended:
            if things.have(owner):
                things.add([thread])
        return True

    # ---- what is left ----

    def end_test(self, with_files: bool) -> "List[Tuple[str, List[str]]]":
        """By owner, what the test left behind, and the fixtures that ended with it."""
        self._test.add(self._new())
        until = _native.now() + self._grace
        left = []
        ended, self._ended = self._ended, []
        given_away = [thing for thing in self._test.alive() if _is_thread(thing) and self._give_away(thing)]
        for things in [self._test] + ended:
            others = given_away if things is self._test else []
            lines = self._threads([t for t in things.alive() if _is_thread(t) and t not in others], until)
            if with_files:
                lines += self._files_of(things)
            lines += [g.describe() for g in things.alive() if isinstance(g, _guards.Guard) and g.is_open]
            if lines:
                left.append((things.owner, lines))
        self._test = Things("")
        return left

    def _threads(self, threads: "List[threading.Thread]", until: float) -> "List[str]":
        lines = []
        locks = None
        for thread in threads:
            if any(fnmatch.fnmatchcase(thread.name, pattern) for pattern in self._ignored_threads):
                continue
            threading.Thread.join(thread, max(until - _native.now(), 0))
            if thread.is_alive():
                locks = locks or Locks()
                lines.append(_where.thread(thread.ident, None, locks))
        return lines

    def _files_of(self, things: Things) -> "List[str]":
        lines = self._unwritten(things)
        if lines:
            # A file in a cycle that nobody refers to is not left behind: Python flushes it as it collects it.
            gc.collect()
            lines = self._unwritten(things)
        return lines

    def _unwritten(self, things: Things) -> "List[str]":
        counts: "Dict[int, Tuple[str, int]]" = {}
        for file in things.alive():
            if not isinstance(file, _FILES):
                continue
            name = _files.name_of(file)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self._ignored_files):
                continue
            try:
                # A text file and its buffer are one destination.
                buffer = file.buffer if isinstance(file, io.TextIOWrapper) else file
                if file.closed:
                    continue
            except ValueError:
                continue
            count = layout().unwritten(file) or 0
            if count > 0 and isinstance(buffer, _FILES):
                counts[id(buffer)] = (name, counts.get(id(buffer), (name, 0))[1] + count)
        return ["%s: bytes not written: %d" % (name, count) for name, count in counts.values()]


def _is_thread(thing: object) -> bool:
    # A dummy stands for a thread that Python did not start, and stays when that has ended.
    return isinstance(thing, threading.Thread) and not isinstance(thing, threading._DummyThread)
