"""A row of the table: one program, how it is run, and how it ends under stock CPython.

The files in `programs/` hold the rows of one topic each. A row begins with a line `# %% name: what the program does`.
Lines `# key: value` follow; then comes the program, which is saved as `program.py` in an empty folder and run there.
A line `# --- NAME` in it begins another file of that name.

    argv        the words after the interpreter (default `program.py`)
    run         a command for bash in the place of that; `$PY` is the interpreter. Several such lines are one script
    stdin       a Python string that is standard input (default: nothing)
    terminal    `yes`: the standard streams are a terminal, and `stdin` is typed into it; `after TEXT`: once that is shown
    set         NAME=VALUE for the environment
    needs       packages of requirements.txt, or commands, that the row cannot do without
    build       NAME by pybind11, nanobind or cffi: the module that the file of that name is compiled to
    seconds     after which the program counts as hanging (default 30)
    ends        how it ends under stock: an exit code (default 0), or the name of a signal
    stdout, stderr   a regular expression that must be found in that stream under stock; a stream for which
                none is given must be empty: a row whose program does not do what its name says is at fault
    normalise   what is different in each run: see NAMED in compare.py
    replace     REGULAR EXPRESSION => TEXT: the same, for one row
    sorted      `stdout` or `stderr`: several processes or threads write its lines, in no order
    ignore      names of files whose content is not compared
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "programs"
HEAD = re.compile(r"# %% (\w+): (.+)")
KEY = re.compile(r"# ([a-z]+): (.*)")
FILE = re.compile(r"# --- (\S+)")


@dataclass
class Row:
    name: str
    title: str
    topic: str = ""
    files: dict[str, str] = field(default_factory=dict)
    argv: str = "program.py"
    run: str = ""
    stdin: str = ""
    terminal: bool = False
    typed_after: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    build: str = ""
    seconds: float = 30
    ends: str = "exit 0"
    says: dict[str, str] = field(default_factory=dict)
    normalise: list[str] = field(default_factory=list)
    replace: list[tuple[str, str]] = field(default_factory=list)
    sorted: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)

    def enter(self, key: str, value: str) -> None:
        if key in ("argv", "build"):
            setattr(self, key, value)
        elif key == "run":
            self.run += value + "\n"
        elif key == "stdin":
            self.stdin += ast.literal_eval(value)
        elif key == "terminal":
            self.terminal, self.typed_after = True, value.partition("after ")[2]
        elif key == "set":
            name, _, text = value.partition("=")
            self.environment[name] = text
        elif key == "seconds":
            self.seconds = float(value)
        elif key == "ends":
            self.ends = value if value.startswith("SIG") else f"exit {int(value)}"
        elif key in ("stdout", "stderr"):
            self.says[key] = value
        elif key in ("needs", "normalise", "sorted", "ignore"):
            getattr(self, key).extend(re.split(r",\s*", value))
        elif key == "replace":
            pattern, arrow, text = value.partition(" => ")
            if not arrow:
                raise ValueError("replace has no ' => '")
            re.compile(pattern)
            self.replace.append((pattern, text))
        else:
            raise ValueError(f"no such key: {key}")


def read_rows(text: str, topic: str) -> list[Row]:
    rows: list[Row] = []
    in_keys, file = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        head, key, other = HEAD.fullmatch(line), KEY.fullmatch(line), FILE.fullmatch(line)
        try:
            if head:
                rows.append(Row(*head.groups(), topic=topic))
                in_keys, file = True, "program.py"
            elif not rows:
                continue  # the file's own words
            elif in_keys and key:
                rows[-1].enter(*key.groups())
            elif other:
                in_keys, file = False, other.group(1)
                rows[-1].files[file] = ""
            else:
                in_keys = False
                rows[-1].files[file] = rows[-1].files.get(file, "") + line + "\n"
        except (ValueError, SyntaxError, re.error) as error:
            raise ValueError(f"{topic}, line {number}: {error}") from None
    for row in rows:
        # Empty lines between two rows belong to neither.
        row.files = {name: (content.rstrip("\n") + "\n").lstrip("\n") for name, content in row.files.items()}
        if not row.files.get("program.py"):
            row.files.pop("program.py", None)
    return rows


def all_rows(folder: Path = FOLDER) -> list[Row]:
    rows: list[Row] = []
    for file in sorted(folder.glob("*.py")):
        rows += read_rows(file.read_text(encoding="utf-8"), file.name)
    names = [row.name for row in rows]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two rows have one name: {', '.join(sorted(twice))}")
    return rows
