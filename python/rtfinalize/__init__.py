"""A bounded end for Python programs.

`python -m rtfinalize app.py` runs a program with it; `rtfinalize.install()` asks for it in a program.
`rtfinalize.dump()` says why a program is still running.

(PYTEST_DONT_REWRITE: pytest, for which there is a plugin, would warn where this was imported before.)
"""

import sys

if sys.version_info < (3, 9) or sys.implementation.name != "cpython" or not sys.platform.startswith("linux"):
    raise ImportError(
        "rtfinalize works with CPython from 3.9 on, on Linux; this is %s %s on %s"
        % (sys.implementation.name, sys.version.split()[0], sys.platform)
    )

import os

# The end of a subinterpreter would be taken for that of the process.
_REFUSAL = "rtfinalize works in the main interpreter only, and not in a subinterpreter"
try:
    from . import _native
except ImportError as error:
    # Newer releases refuse the module themselves.
    if "subinterpreter" not in str(error):
        raise
    raise ImportError(_REFUSAL) from None
if _native.is_in_subinterpreter():
    raise ImportError(_REFUSAL)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, TextIO, Union

    from ._children import Child
    from ._guards import Guard as Guard
    from ._guards import pin as pin
    from ._program import Program

__all__ = ["Guard", "dump", "install", "pin"]

# CPython's `threading._shutdown`, where the program has loaded that module, and whether ours is called in its place.
_shutdown: "Optional[Callable[[], None]]" = None
_has_place = False
_is_asked_for = False
_is_installed = False
_is_reported = False
_end: "Optional[str]" = None
# What has been asked for, as `install()` takes it.
_settings: "Dict[str, Any]" = {}
# The program's exit code, where that is known.
_code: "Optional[int]" = None
_inherited: "frozenset[int]" = frozenset()
_has_forked = False
_child: "Optional[Child]" = None
_is_ending = False
_collects = False
_ending: "Optional[Program]" = None
_dumps_on_signal = False


def __getattr__(name: str) -> "Any":
    # Of a program's start every import is a part that is felt.
    if name not in ("Guard", "pin"):
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    from . import _guards

    found = globals()[name] = getattr(_guards, name)
    return found


# Far more than a process lives.
_LONGEST = 1e9


def _as_text(name: str, time: "Union[float, str]") -> str:
    if isinstance(time, str):
        return time
    # A `bool` is a number, too, but nobody means one.
    number = -1.0
    if not isinstance(time, bool):
        try:
            number = float(time)
        except (TypeError, ValueError, OverflowError):
            pass
    if not (0 <= number < float("inf")):
        raise ValueError("%s is %r; it takes a number of seconds, or a text like 5s, 1.5s or 500ms" % (name, time))
    return "%.6fs" % min(number, _LONGEST)


def _set(name: str, value: "Union[float, str]") -> None:
    variable = "RTFINALIZE_" + name.upper()
    if name == "report" and not isinstance(value, str):
        raise ValueError("report is %r; it takes a text like json:PATH" % (value,))
    text = _as_text(name, value)
    if name == "deadline" and "0" in text and not any(digit in text for digit in "123456789"):
        raise ValueError("deadline is %r; without any time nothing can be done" % (value,))
    try:
        _native.set(variable, os.fsencode(text))
    except ValueError as error:
        # What the library's status means in general is for callers in C.
        why = str(error).removesuffix(": an argument has a value this call cannot use")
        raise ValueError(why.replace(variable, name, 1)) from None


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
    what is none of these, and `RuntimeError` if the end has begun.
    """
    if _has_ended():
        raise RuntimeError("the program is ending; install() has to be called before that")
    _settle(deadline, grace, report, end, dump_on)
    _take_the_place_of_shutdown()


def _has_ended() -> bool:
    """Whether CPython's own end has begun."""
    module: "Any" = sys.modules.get("threading")
    # One that nobody has used is not loaded for this.
    return _is_ending or sys.is_finalizing() or (type(module) is type(sys) and not module.main_thread().is_alive())


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
    global _end, _is_asked_for, _is_installed, _is_reported
    if end not in (None, "continue", "exit"):
        raise ValueError("end is %r; it takes 'continue' or 'exit'" % (end,))
    for name, value in (("deadline", deadline), ("grace", grace), ("report", report)):
        if value is not None:
            _set(name, value)
            _is_asked_for = True
    _is_reported |= bool(report or os.environ.get("RTFINALIZE_REPORT"))
    _end = end or _end
    if dump_on is not None:
        _dump_on(dump_on)
    elif "RTFINALIZE_DUMP_ON" in os.environ and not _dumps_on_signal:
        try:
            _dump_on(os.environ["RTFINALIZE_DUMP_ON"], "RTFINALIZE_DUMP_ON")
        except ValueError as error:
            # Whoever runs a program shall not keep it from running.
            _native.tell(str(error))
    asked = {"deadline": deadline, "grace": grace, "report": report, "end": end, "dump_on": dump_on}
    _settings.update((name, value) for name, value in asked.items() if value is not None)
    if not _is_installed:
        _is_installed = True
        os.register_at_fork(after_in_child=_forked)
    _pass_on()


class _Finder:
    """Finds no module, but hears when `multiprocessing` is imported: who does not use it shall not pay for it."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if not name.startswith("multiprocessing.") or not _pass_on():
            return None
        import _frozen_importlib

        # The finders have moved up.
        return _frozen_importlib._find_spec(name, path, target)  # type: ignore[attr-defined]


def _pass_on() -> bool:
    """The children of `multiprocessing` end by the same settings: whether it is imported, so that this is arranged."""
    if hasattr(sys.modules.get("multiprocessing.process"), "_current_process"):
        if _Finder in sys.meta_path:
            sys.meta_path.remove(_Finder)
        from . import _children

        _children.pass_on(_settings)
        return True
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    return False


def _by_environment() -> None:
    """What the `.pth` file of `python -m rtfinalize --enable` calls where a variable RTFINALIZE_… is set."""
    if _is_installed:
        return  # a virtual environment's files are read twice
    if sys.argv[:1] == ["-c"]:
        from . import _children

        if _children.is_helper():
            return
    end = os.environ.get("RTFINALIZE_END")
    install(end=end if end in ("continue", "exit") else None)
    if end is not None and _end != end:
        _native.tell("RTFINALIZE_END is '%s'; it takes continue or exit" % end)


def _dump_on(signal: "Union[int, str]", setting: str = "dump_on") -> None:
    global _dumps_on_signal
    import _signal  # type: ignore[import-not-found]

    if not isinstance(signal, str):
        number = int(signal) if isinstance(signal, int) and not isinstance(signal, bool) else 0
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
    _native.number_reports()
    if "multiprocessing.util" in sys.modules:
        from . import _children

        _children.begun()


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


def _begin(was_cut_short: int) -> "Optional[Program]":
    """The process ends: an engine for that, or `None` if CPython's own end does as well."""
    global _is_installed, _is_ending, _ending, _child
    if not _is_installed:
        return None
    _is_installed = False
    _is_ending = True
    if "multiprocessing.process" in sys.modules:
        from . import _children

        _child = _children.ending(sys._getframe().f_back)
    if _child is not None:
        # If that was cut short its code is that of the interrupt.
        _child.was_cut_short = bool(was_cut_short)
        _ends_by(0 if was_cut_short else _child.code)
    collects = _hold_collector()
    _give_the_place_back()
    if _nothing_can_wait() and not (_end == "exit" and _code is not None):
        if collects:
            import gc

            gc.enable()
        return None
    if _shutdown is None:
        import threading

        threading.main_thread()  # loads it
        _give_the_place_back()
    from ._program import Program

    _ending = Program(_inherited, collects, _is_reported, _child)
    return _ending


def _hold_collector() -> bool:
    """A file in a cycle that nobody refers to would lose its bytes in silence, if a collection came before the flush.

    Whether the program collects.
    """
    import gc

    global _collects
    _collects = _collects or gc.isenabled()
    gc.disable()
    return _collects


def _ends(engine: "Program", ran_out: bool) -> None:
    """All is done, and CPython's own end is about to follow; or not, where that would not come to an end."""
    engine.collect_again()
    ran_out = ran_out or (_child is not None and _child.was_cut_short)
    if ran_out or engine.files.is_cut_off or engine.subinterpreters.are_cut_off:
        _native.output_was_lost()
    is_unsafe = engine.has_foreign_threads or engine.has_threads_at_work or engine.subinterpreters.are_busy
    ends_here = _end == "exit" or (_end is None and is_unsafe)
    if ran_out or (ends_here and _code is not None) or (_end is None and engine.subinterpreters.are_busy):
        if ran_out:
            engine.end_workers()
        _flush_standard_streams()
        # Under a subinterpreter that runs Python's own end aborts, and only that knows the code of each program.
        _native.end_process(int(getattr(sys, "last_type", None) is not None) if _code is None else _code)
    if ends_here:
        # The code comes out of Python's own end. What threads use that are at work is kept to the last.
        _native.skip_exit_handlers()
    if _child is not None and _child.is_left_by_os_exit and _native.code_after_losses(_child.code) != _child.code:
        # What corrects the code of other processes as they end does not run.
        _flush_standard_streams()
        _native.end_process(_child.code)


def _rescue() -> None:
    """Called on a thread of the library's; the process ends in a moment, and the end has not begun."""
    from ._program import Program

    Program(_inherited, False, _is_reported, None).rescue_files()


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                # Who has its lock may never give it back.
                _native.within(0.2, stream.flush)
        except Exception:
            pass
