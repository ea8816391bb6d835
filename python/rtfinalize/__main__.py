"""`python -m rtfinalize [options] app.py args…`, `-m module args…` or `-c code args…`."""

import sys
from types import ModuleType
import rtfinalize
from rtfinalize import _native

USAGE = """usage: python -m rtfinalize [--deadline TIME] [--grace TIME] [--report FORM[:PATH]] [--end continue|exit]
                            [--dump-on SIGNAL] (FILE | -m MODULE | -c CODE) [ARGUMENT...]
       python -m rtfinalize --enable | --disable

  --deadline TIME    the time for all of the end; without it, threads and exit callbacks take as long as they like
  --grace TIME       the time for a thread that has a file's lock and may still give it back (1s)
  --report FORM[:PATH]   what the end waited for, stopped and lost, on stderr or in the file PATH
  --end exit         the process ends without the rest of Python's own finalization
  --end continue     Python's own finalization follows; if neither is said, it follows wherever that is safe
  --dump-on SIGNAL   on that signal, say on stderr what every thread does
  --enable           every program of this Python uses the package, if the environment has one of RTFINALIZE_DEADLINE,
                     _GRACE, _NOTICE, _REPORT, _END and _DUMP_ON
  --disable          takes that back

TIME is like 5s or 500ms. FORM is text, json, html or trace. In PATH, %p stands for the process ID."""

OPTIONS = ("deadline", "grace", "report", "end", "dump-on")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def _say(what: object) -> None:
    try:
        sys.stderr.write("%s\n" % (what,))
    except Exception:
        # There may be no stderr, or nobody who reads it.
        pass


def _fail(why: str) -> "NoReturn":
    # What the options mean is for --help.
    _say("%s\nrtfinalize: %s" % (USAGE.split("\n\n")[0], why))
    raise SystemExit(2)


# Read by each Python at its start. It costs a look at the environment where nobody wants it, and survives the package.
PTH = """\
import os; any(n.startswith("RTFINALIZE_") for n in os.environ) and exec(\
"try: import rtfinalize as r\\nexcept ImportError: pass\\nelse: r._by_environment()")
"""


def _switch(on: bool) -> int:
    import os
    import sysconfig

    path = os.path.join(sysconfig.get_path("purelib"), "rtfinalize-by-environment.pth")
    try:
        if on:
            with open(path, "w", encoding="utf-8") as file:
                file.write(PTH)
        elif os.path.lexists(path):
            os.remove(path)
        else:
            print("%s is not there" % path)
            return 0
    except OSError as error:
        _fail("%s could not be changed: %s" % (path, error.strerror))
    print("%s is %s" % (path, "written" if on else "removed"))
    return 0


def _parse(words: "list[str]") -> "tuple[dict[str, str | None], str, str, list[str]]":
    """The options; `file`, `-m` or `-c`; what it says; and the program's arguments."""
    options: "dict[str, str | None]" = dict.fromkeys(OPTIONS)
    while words and words[0].startswith("--"):
        name, has_value, value = words.pop(0)[2:].partition("=")
        if name == "help":
            print(USAGE)
            raise SystemExit(0)
        if name in ("enable", "disable"):
            raise SystemExit(_switch(name == "enable"))
        if name not in OPTIONS:
            _fail("there is no option --" + name)
        if not has_value:
            if not words:
                _fail("--%s needs a value" % name)
            value = words.pop(0)
        options[name] = value
    if words and words[0] in ("-m", "-c"):
        if len(words) < 2:
            _fail(words[0] + " needs a value")
        return options, words[0], words[1], words[2:]
    if not words:
        _fail("there is no program to run")
    if words[0].startswith("-"):
        _fail("%s is no program; Python's own options come before -m rtfinalize" % words[0])
    return options, "file", words[0], words[1:]


def _main_module(**names: object) -> ModuleType:
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __annotations__={}, **names)
    sys.modules["__main__"] = main
    return main


def _has_path_of_its_own() -> bool:
    """Whether the first entry of `sys.path` is for this package (-I and -P have none), and goes to the program."""
    return not (sys.flags.isolated or getattr(sys.flags, "safe_path", False))


def _run(kind: str, what: str, arguments: "list[str]") -> None:
    if kind == "-c":
        sys.argv[:] = ["-c"] + arguments
        if _has_path_of_its_own():
            sys.path[0] = ""
        # Compiled by `exec`, for the reason that `compile_file` has.
        exec(what, _main_module(__loader__=None, __spec__=None).__dict__)
    elif kind == "-m":
        import runpy

        sys.argv[:] = ["-m"] + arguments
        _main_module()
        runpy._run_module_as_main(what)  # type: ignore[attr-defined]
    else:
        _run_file(what, arguments)


def _run_file(path: str, arguments: "list[str]") -> None:
    import os

    sys.argv[:] = [path] + arguments
    if os.path.isdir(path) or path.endswith((".pyz", ".zip", ".pyc")):
        import runpy

        path = os.path.abspath(path)
        # A folder or an archive is in the path whatever the flags are.
        sys.path[: 1 if _has_path_of_its_own() else 0] = [path]
        _main_module()
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    # The other form of this statement has 3.14 import `warnings`.
    import importlib.machinery

    path = os.path.abspath(path)
    if _has_path_of_its_own():
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        _say(
            "%s: can't open file %r: [Errno %d] %s" % (sys.executable, path, error.errno or 0, error.strerror)
        )
        raise SystemExit(2) from None
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    main = _main_module(__file__=path, __cached__=None, __loader__=loader, __spec__=None, __doc__=None, __package__=None)
    has_zero = b"\0" in source  # which is for Python to complain of
    code = compile(source, path, "exec", dont_inherit=True) if has_zero else _native.compile_file(source, path)
    try:
        exec(code, main.__dict__)
    finally:
        if not sys.flags.inspect:
            rtfinalize._hold_collector()
        _flush_standard_streams()


def _flush_standard_streams() -> None:
    """As Python does after a file's last line, before it prints a traceback or calls anything at its end."""
    is_alone = len(sys._current_frames()) == 1
    for stream in (sys.stderr, sys.stdout):
        try:
            if is_alone:
                stream.flush()
            else:
                # Another thread may have its lock for good.
                _native.within(1.0, stream.flush)
        except BaseException:
            # What is not written yet is tried again at the end.
            pass


def _code_of(end: SystemExit) -> int:
    """The exit code, as Python takes it from what was raised; what is no number is said on stderr."""
    code = end.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFFFFFFFF if code >= 0 else code
    _say(code)
    return 1


def _main() -> "int | None":
    options, kind, what, arguments = _parse(sys.argv[1:])
    try:
        rtfinalize._settle(**{name.replace("-", "_"): value for name, value in options.items()})
    except ValueError as error:
        _fail(str(error))
    # CPython's own end calls it once the program is over, and at the end of a prompt (`-i`) that follows.
    rtfinalize._take_the_place_of_shutdown()
    code = 0
    try:
        _run(kind, what, arguments)
    except SystemExit as end:
        code = _code_of(end)
    except BaseException as raised:
        code = _uncaught(raised)
    if not sys.flags.inspect:
        rtfinalize._hold_collector()
        rtfinalize._ends_by(code)
    return code


def _uncaught(raised: BaseException) -> int:
    """Says what the program did not catch, as Python does, without the frames of this module."""
    trace = raised.__traceback__
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    raised.__traceback__ = trace
    sys.last_type, sys.last_value, sys.last_traceback = type(raised), raised, trace
    try:
        sys.excepthook(type(raised), raised, trace)
    except SystemExit as end:
        return _code_of(end)
    if isinstance(raised, KeyboardInterrupt):
        # By it CPython knows that it shall end by the signal, once it has finalized.
        sys.excepthook = lambda *_: None
        raise raised
    return 1


sys.exit(_main())
