"""Processes that `multiprocessing` makes: by each of its start methods they end as their parent does.

A forked child has the package already. One that is spawned, or comes of the fork server, gets the settings with what
`multiprocessing` itself passes on to all descendants of a process.
"""

import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Dict, List, Optional, Tuple

    # Names of `install()`'s parameters and what they are.
    Settings = Dict[str, Any]

_KEY = "rtfinalize"

# Above all that programs register, so that it comes first.
_FIRST = sys.maxsize


class _PassedOn:
    """Unpickled in the child, it asks for the package there."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    def __reduce__(self) -> "Tuple[Any, Tuple[Settings]]":
        return _begin, (self.settings,)


def _begin(settings: "Settings") -> _PassedOn:
    import rtfinalize

    try:
        rtfinalize.install(**settings)
        _native.number_reports()
        begun()
        # Some releases call what `begun` has registered for a spawned child, too; others clear nothing.
        _bound_what_comes_first(None)
    except Exception as error:
        # The child's work is more than its end.
        _native.tell("a child of multiprocessing ends without the package: %s" % error)
    # The children of this child get it, too.
    return _PassedOn(settings)


def pass_on(settings: "Settings") -> None:
    """Has the children that are made from now on end by these settings."""
    # Not `current_process()`, which a program may have replaced.
    config = getattr(sys.modules["multiprocessing.process"]._current_process, "_config", None)
    if isinstance(config, dict):
        config[_KEY] = _PassedOn(settings)


def begun() -> None:
    """This process is a child of one that has the package."""
    util = sys.modules.get("multiprocessing.util")
    if hasattr(util, "register_after_fork"):
        # It is called as the child begins, for all start methods, once what the parent had registered is cleared.
        util.register_after_fork(_bound_what_comes_first, _bound_what_comes_first)  # type: ignore[union-attr]


def _bound_what_comes_first(_: object) -> None:
    """Until 3.12 a child waits for its queues and its own children before it ends its threads."""
    util = sys.modules["multiprocessing.util"]
    util.Finalize(None, _native.bound_beforehand, exitpriority=_FIRST)


def is_helper() -> bool:
    """Whether this process is one that `multiprocessing` itself needs, and no program runs in it."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    helpers = (b"from multiprocessing.resource_tracker import main;", b"from multiprocessing.forkserver import main;")
    return any(helper in word for word in words for helper in helpers)


class Child:
    """The child of `multiprocessing` that ends now."""

    def __init__(self, code: int, is_left_by_os_exit: bool, runs_exit_callbacks: bool) -> None:
        self.code = code
        self.is_left_by_os_exit = is_left_by_os_exit
        self.runs_exit_callbacks = runs_exit_callbacks
        # Whether what came before its end took longer than the deadline, and was interrupted.
        self.was_cut_short = False


def ending(frame: "Optional[FrameType]") -> "Optional[Child]":
    """The child that ends, if this frame is where `multiprocessing` ends its threads."""
    if frame is None or not _is(frame, "multiprocessing.process", "_bootstrap"):
        return None
    code = frame.f_locals.get("exitcode", 1)
    is_left_by_os_exit, runs_exit_callbacks = False, True
    while frame is not None:
        if _is(frame, "multiprocessing.popen_fork", "_launch") or _is(frame, "multiprocessing.forkserver", "main"):
            # From 3.13 on it calls what the child has registered, and nothing of the parent's.
            is_left_by_os_exit = True
            runs_exit_callbacks = "_run_exitfuncs" in frame.f_code.co_names
            break
        frame = frame.f_back
    return Child(code if isinstance(code, int) else 1, is_left_by_os_exit, runs_exit_callbacks)


def _is(frame: "FrameType", module: str, function: str) -> bool:
    return frame.f_code.co_name == function and frame.f_globals.get("__name__") == module


def _workers() -> "List[Any]":
    """The processes of each `ProcessPoolExecutor` that has not been shut down."""
    executors = getattr(sys.modules.get("concurrent.futures.process"), "_threads_wakeups", ())
    return [worker for thread in list(executors) for worker in list((getattr(thread, "processes", None) or {}).values())]


def end_workers() -> None:
    """This process ends before its children: ends those that are there for it alone, as multiprocessing does at its own
    end with daemonic ones, and names the others."""
    workers = _workers()
    for child in list(getattr(sys.modules.get("multiprocessing.process"), "_children", ())):
        try:
            if not child.is_alive():
                continue
            if child.daemon or child in workers:
                child.terminate()
            else:
                _native.tell("process %d, '%s', is left running" % (child.pid, child.name))
        except Exception:
            # It has ended just now, or is none of ours to wait for.
            pass
