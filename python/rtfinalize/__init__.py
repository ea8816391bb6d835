"""A bounded end for Python programs.

`python -m rtfinalize app.py` runs a program with it; `rtfinalize.install()` asks for it in a program.
`rtfinalize.dump()` says why a program is still running.

(PYTEST_DONT_REWRITE: pytest, for which there is a plugin, would warn where this was imported before.)
"""

import os
import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, TextIO, Union

    from ._engine import Engine
    from ._guards import Guard as Guard

__all__ = ["Guard", "dump", "install"]

# CPython's `threading._shutdown`, where the program has loaded that module, and whether ours is called in its place.
_shutdown: "Optional[Callable[[], None]]" = None
_has_place = False
_is_asked_for = False
_is_installed = False
_end: "Optional[str]" = None
# The program's exit code, where that is known.
_code: "Optional[int]" = None
_inherited: "frozenset[int]" = frozenset()
_has_forked = False
_is_ending = False
_ending: "Optional[Engine]" = None
_dumps_on_signal = False


def __getattr__(name: str) -> "Any":
    # Of a program's start every import is a part that is felt.
    if name != "Guard":
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    global Guard
    from ._guards import Guard

    return Guard


def _as_text(time: "Union[float, str]") -> str:
    return time if isinstance(time, str) else "%.6fs" % time


def install(
    deadline: "Union[float, str, None]" = None,
    grace: "Union[float, str, None]" = None,
    report: "Optional[str]" = None,
    end: "Optional[str]" = None,
    dump_on: "Union[int, str, None]" = None,
) -> None:
    """Has this program end by the library's rules.

    `deadline` is the time for all of the end, `grace` the time for a thread that has a file's lock and may still let go:
    seconds, or a text like `500ms`. `report` is `text`, `json:PATH`, `html:PATH` or `trace:PATH`. `dump_on` is a signal,
    by number or name, on which `dump()` writes to stderr, also while the main thread is stuck. Raises `ValueError` for
    what is none of these.
    """
    _settle(deadline, grace, report, end, dump_on)
    _take_the_place_of_shutdown()


def dump(file: "Optional[TextIO]" = None) -> None:
    """Says why the program is still running, on stderr or in `file`.

    It names every thread: where it is, the system call and the descriptor, the file whose lock it holds or waits for, and
    where it was started, if that was after `install()`. It takes no lock of Python's, and can be called at any time.
    """
    from . import _dump

    _dump.write(_dump.describe(None, _is_ending, _ending), file)


def _dump_for_signal() -> None:
    """Called on a thread of the library's."""
    from . import _dump

    _dump.write(_dump.describe(_native.this_thread(), _is_ending, _ending), None)


def _settle(
    deadline: "Union[float, str, None]",
    grace: "Union[float, str, None]",
    report: "Optional[str]",
    end: "Optional[str]",
    dump_on: "Union[int, str, None]" = None,
) -> None:
    global _end, _is_asked_for, _is_installed
    if end not in (None, "continue", "exit"):
        raise ValueError("end is %r; it takes 'continue' or 'exit'" % (end,))
    for name, value in (("DEADLINE", deadline), ("GRACE", grace), ("REPORT", report)):
        if value is not None:
            _native.set("RTFINALIZE_" + name, _as_text(value))
            _is_asked_for = True
    _end = end or _end
    if dump_on is not None:
        _dump_on(dump_on)
    elif "RTFINALIZE_DUMP_ON" in os.environ and not _dumps_on_signal:
        try:
            _dump_on(os.environ["RTFINALIZE_DUMP_ON"], "RTFINALIZE_DUMP_ON")
        except ValueError as error:
            # Whoever runs a program shall not keep it from running.
            _native.tell(str(error))
    if not _is_installed:
        _is_installed = True
        os.register_at_fork(after_in_child=_forked)


def _by_environment() -> None:
    """What the `.pth` file of `python -m rtfinalize --enable` calls where a variable RTFINALIZE_… is set."""
    if _is_installed:
        return  # a virtual environment's files are read twice
    end = os.environ.get("RTFINALIZE_END")
    install(end=end if end in ("continue", "exit") else None)
    if end is not None and _end != end:
        _native.tell("RTFINALIZE_END is '%s'; it takes continue or exit" % end)


def _dump_on(signal: "Union[int, str]", setting: str = "dump_on") -> None:
    global _dumps_on_signal
    import _signal  # type: ignore[import-not-found]

    if not isinstance(signal, str):
        number = int(signal)
    elif signal.isdigit():
        number = int(signal)
    else:
        name = signal.strip().upper()
        name = name if name.startswith("SIG") else "SIG" + name
        # `SIG_IGN` and its like are no signals.
        number = 0 if "_" in name else getattr(_signal, name, 0)
    # Those that say that something is wrong with the program itself cannot be put off.
    if number in (0, _signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGABRT):
        raise ValueError("%s is %r; it takes a signal like SIGUSR1" % (setting, signal))
    try:
        _native.dump_on(number)
    except OSError:
        raise ValueError("%s is %r; that signal cannot be caught" % (setting, signal)) from None
    if not _dumps_on_signal:
        _dumps_on_signal = True
        import threading

        # To `threading` the thread that loads it is the main thread, which the one that dumps is not.
        threading.main_thread()
        # CPython counts the threads as it forks, and warns of more than one.
        os.register_at_fork(
            before=_native.pause_dumps, after_in_parent=_native.resume_dumps, after_in_child=_native.resume_dumps
        )


def _take_the_place_of_shutdown() -> None:
    """CPython calls `threading._shutdown` first of all as it ends."""
    global _has_place
    if _has_place:
        return
    _has_place = True
    if "threading" in sys.modules:
        _replace_shutdown()
    else:
        from . import _threading

        _threading.stand_in(_native.at_exit, _replace_shutdown)


def _replace_shutdown() -> None:
    global _shutdown
    import threading

    _shutdown = threading._shutdown  # type: ignore[attr-defined]
    threading._shutdown = _native.at_exit  # type: ignore[attr-defined]
    try:
        from . import _starts
    except ImportError:
        # It may be the program's first use of a thread, which does not fail because the package was removed meanwhile.
        return
    _starts.note()


def _give_the_place_back() -> None:
    if _shutdown is not None:
        sys.modules["threading"]._shutdown = _shutdown  # type: ignore[attr-defined]


def _forked() -> None:
    """What this child inherited is the parent's to write; CPython decides what is written here, too."""
    global _inherited, _has_forked
    from ._files import every

    _has_forked = True
    _inherited = frozenset(map(id, every()))


def _nothing_can_wait() -> bool:
    """Whether CPython's own end does as well: there is one thread, nothing to call and no file that could lose bytes."""
    import atexit

    is_asked_for = _is_asked_for or any(name.startswith("RTFINALIZE_") for name in os.environ)
    if is_asked_for or _has_forked or len(sys._current_frames()) > 1 or atexit._ncallbacks() > 0:
        return False
    guards = sys.modules.get("rtfinalize._guards")
    from ._files import may_lose_bytes

    return not (guards is not None and guards.every() or may_lose_bytes())


def _ends_by(code: int) -> None:
    global _code
    _code = code
    _native.set_code(code & 0xFF)


def _hand_over() -> None:
    """The end is that of a host that has embedded this Python: CPython's own `threading._shutdown` stands in its place."""
    global _is_installed, _is_ending
    _is_installed = False
    _is_ending = True
    if _shutdown is not None:
        sys.modules["threading"]._shutdown = _shutdown  # type: ignore[attr-defined]


def _begin() -> "Optional[Engine]":
    """The process ends: an engine for that, or `None` if CPython's own end does as well."""
    global _is_installed, _is_ending, _ending
    if not _is_installed:
        return None
    _is_installed = False
    _is_ending = True
    import gc

    # A file in a cycle that nobody refers to would lose its bytes in silence, if a collection came before the flush.
    collects = gc.isenabled()
    gc.disable()
    _give_the_place_back()
    if _nothing_can_wait() and not (_end == "exit" and _code is not None):
        if collects:
            gc.enable()
        return None
    if _shutdown is None:
        import threading

        threading.main_thread()  # loads it
        _give_the_place_back()
    from ._engine import Engine

    _ending = Engine(_inherited, collects)
    return _ending


def _ends(engine: "Engine", ran_out: int) -> None:
    """All is done, and CPython's own end is about to follow; or not, where that would not come to an end."""
    engine.collect_again()
    if ran_out or engine.files.is_cut_off:
        _native.output_was_lost()
    is_unsafe = engine.has_foreign_threads or engine.has_threads_at_work
    if ran_out or (_end == "exit" and _code is not None) or (_end is None and is_unsafe):
        _flush_standard_streams()
        _native.end_process(_code or 0)


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                # Who has its lock may never give it back.
                _native.within(0.2, stream.flush)
        except Exception:
            pass
