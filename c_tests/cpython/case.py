"""A case: a program that ends in a way CPython has trouble with, and what somebody outside must see.

The program says it itself, in comment lines at its top, `key: value`:

    title       what the program does, for the table
    of          where it was reported, or the row of the map it belongs to
    stock       `always` or `sometimes`: whether stock CPython fails; one that always fails and does not
                any more proves nothing, and is a failure of the case; `always until 3.13.8`: that release
                of CPython is the first one that need not fail. `none`: it needs what stock does not
                have, and runs under the fork only
    seconds     after which it is a hang (default 5)
    exit        the codes that are right, or names of signals that it may end by (default 0)
    stdin       `empty`, or `idle`: open, and nothing ever comes
    stdout, stderr   `read`, or `unread`: a pipe that nobody reads before the process has ended
    set         NAME=VALUE for the environment
    arrives     WHERE: EXPRESSION, the exact bytes WHERE (`stdout` or a file) must hold, in Python
    journal     FILE in WHERE: the program entered every line in FILE after it was accepted; each must be
                WHERE exactly once
    counts      how many bytes the fork's report must count as accepted and not written
    says        a regular expression that the fork's stderr or its report must match
    silent      `yes`: nothing may come from the fork's stderr
    link        words for the linker of a host that embeds a stock interpreter
    needs       a package from PyPI; without it the case is left out
    from        the first release of Python that it is for, and why it is for none before
    package     why the package for a stock Python is not held to it
    freethreaded  why the package for a free-threaded one is not
    measured    the most the fork may measure, as a multiple of stock (`measured NUMBER UNIT` on stdout)
"""

import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "cases"
# Those that embed a stock interpreter.
HOSTS = FOLDER.parents[2] / "python" / "tests" / "hosts"
COMMENT = re.compile(r"(?:#|//) ?([a-z]+): +(.*)")


@dataclass
class Case:
    program: Path
    title: str = ""
    of: str = ""
    stock: str = "sometimes"
    stock_until: tuple[int, ...] | None = None
    seconds: float = 5
    exits: set[int] = field(default_factory=lambda: {0})
    stdin: str = "empty"
    stdout: str = "read"
    stderr: str = "read"
    environment: dict[str, str] = field(default_factory=dict)
    arrives: dict[str, bytes] = field(default_factory=dict)
    journals: dict[str, str] = field(default_factory=dict)
    counts: int | None = None
    says: str = ""
    silent: bool = False
    link: str = ""
    needs: str = ""
    since: tuple[int, ...] = ()
    not_for_package: str = ""
    not_free_threaded: str = ""
    measured: float = 0

    @property
    def name(self) -> str:
        return self.program.stem

    @property
    def is_host(self) -> bool:
        return self.program.suffix != ".py"

    def runs_under(self, build: str) -> bool:
        return build == "fork" or self.stock != "none"

    def must_fail_in_stock(self, release: tuple[int, ...]) -> bool:
        return self.stock == "always" and (self.stock_until is None or release < self.stock_until)


def one_of(value: str, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
    return value


def enter(case: Case, key: str, value: str) -> None:
    match key:
        case "title" | "of" | "says" | "link" | "needs":
            setattr(case, key, value)
        case "package":
            case.not_for_package = value
        case "freethreaded":
            case.not_free_threaded = value
        case "from":
            release, _, why = value.partition(": ")
            if not why:
                raise ValueError("from needs a reason")
            case.since = tuple(map(int, release.split(".")))
        case "stock":
            how, _, release = value.partition(" until ")
            case.stock = one_of(how, *(("always",) if release else ("always", "sometimes", "none")))
            case.stock_until = tuple(map(int, release.split("."))) if release else None
        case "seconds" | "measured":
            setattr(case, key, float(value))
        case "silent":
            case.silent = one_of(value, "yes") == "yes"
        case "counts":
            case.counts = int(value)
        case "exit":
            case.exits = {-signal.Signals[word] if word.startswith("SIG") else int(word)
                          for word in re.findall(r"\d+|SIG\w+", value)}
        case "stdin":
            case.stdin = one_of(value, "empty", "idle")
        case "stdout" | "stderr":
            setattr(case, key, one_of(value, "read", "unread"))
        case "set":
            name, _, text = value.partition("=")
            case.environment[name] = text
        case "arrives":
            where, _, expression = value.partition(": ")
            case.arrives[where] = eval(expression)  # our own files
        case "journal":
            journal, _, where = value.partition(" in ")
            case.journals[journal] = where
        case _:
            raise ValueError(f"no such key: {key}")


def read(program: Path) -> Case:
    case = Case(program)
    for line in program.read_text(encoding="utf-8").splitlines():
        found = COMMENT.fullmatch(line.rstrip())
        if found is None:
            break
        try:
            enter(case, *found.groups())
        except ValueError as error:
            raise ValueError(f"{program}: {error}") from None
    if not case.title:
        raise ValueError(f"{program} has no title")
    return case


def all_cases(folder: Path = FOLDER) -> list[Case]:
    return [read(file) for file in sorted(folder.iterdir()) if file.suffix in (".py", ".c", ".cpp")]
