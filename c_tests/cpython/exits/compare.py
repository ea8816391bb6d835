"""What is the same in two endings, what is not, and which differences are known."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from exits.ending import Build, Ending
from exits.row import Row

# Of a row that names it under `normalise`.
NAMED = {
    "address": (r"0x[0-9a-f]{6,}", "0xADDRESS"),
    "thread": (r"\b1[34]\d{13}\b", "THREAD"),
    "thread header": (r"(Current thread|Thread) 0x[0-9a-f]{16}", r"\1 THREAD"),
    "temporary": (r"\b((?:tmp|pymp-|listener-)[a-z0-9_]{8})(?![a-z0-9_])", "TEMPORARY"),
    "seconds": (r"\b\d+\.\d+ ?s\b", "SECONDS"),
    "date": (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?[+-]\d\d:?\d\d)?", "DATE"),
    "pid": (r"\b(pid|pid=|PID|process|Process|worker with pid:|\[)([ :]*)\d{2,}\b", r"\1\2PID"),
}
# Characters of a line that are shown.
LONG = 200


def normaliser(row: Row, build: Build):
    """The build's own folders are taken out always; else only what the row names."""
    rules = [(re.compile(pattern), text) for pattern, text in (*(NAMED[name] for name in row.normalise), *row.replace)]
    places = sorted({str(build.folder): "BUILD", os.path.realpath(build.folder): "BUILD", str(build.source): "SOURCE",
                     os.path.realpath(build.source): "SOURCE"}.items(), key=lambda place: -len(place[0]))

    def normal(content: bytes) -> str:
        text = content.decode("utf-8", "backslashreplace")
        for place, word in places:
            text = text.replace(place, word)
        for pattern, replacement in rules:
            text = pattern.sub(replacement, text)
        return text

    return normal


@dataclass
class Seen:
    """An ending without what is different in each run."""

    end: str
    texts: dict[str, str] = field(default_factory=dict)  # the two streams, and every file

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen) and (self.end, self.texts) == (other.end, other.texts)


def seen(row: Row, build: Build, ending: Ending) -> Seen:
    normal = normaliser(row, build)
    texts = {name: normal(content) for name, content in ending.streams.items()}
    for name in row.sorted:
        texts[name] = "".join(sorted(texts[name].splitlines(keepends=True)))
    for name, content in ending.files.items():
        ignored = any(fnmatch.fnmatch(name, pattern) for pattern in row.ignore)
        texts[f"file {normal(name.encode())}"] = "(content not compared)\n" if ignored else normal(content)
    return Seen(ending.end, texts)


def lines_of(text: str | None) -> list[str]:
    if not text:
        return []
    lines = text.split("\n")
    last = lines.pop()
    return [shown(line) for line in lines] + ([f"{shown(last)} (no newline)"] if last else [])


def shown(line: str) -> str:
    """A line that a person can read, and that is another one when anything in it is."""
    visible = "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
    if len(visible) <= LONG:
        return visible
    return f"{visible[:LONG]}… ({len(line)} characters, CRC {zlib.crc32(line.encode()):08x})"


def unified(stock: Seen, fork: Seen, names: tuple[str, str] = ("stock", "fork")) -> list[str]:
    """For a person to read."""
    lines = [] if stock.end == fork.end else [f"end: {stock.end} ({names[0]}), {fork.end} ({names[1]})"]
    for name in sorted({*stock.texts, *fork.texts}):
        ours, theirs = fork.texts.get(name), stock.texts.get(name)
        if ours != theirs:
            absent = {True: " (not there)", False: ""}
            lines += difflib.unified_diff(lines_of(theirs), lines_of(ours), f"{names[0]} {name}{absent[theirs is None]}",
                                          f"{names[1]} {name}{absent[ours is None]}", n=2, lineterm="")
    return lines


def changes(stock: Seen, fork: Seen) -> list[str]:
    """The difference and nothing around it, as the list of known differences has it."""
    found = [] if stock.end == fork.end else [f"end: {stock.end} -> {fork.end}"]
    for name in sorted({*stock.texts, *fork.texts}):
        ours, theirs = fork.texts.get(name), stock.texts.get(name)
        if (ours is None) != (theirs is None):
            found.append(f"{name}: {'missing' if ours is None else 'new'}")
        for line in difflib.ndiff(lines_of(theirs), lines_of(ours)):
            if line[0] in "+-":
                found.append(f"{name}: {line[0]} {line[2:]}".rstrip())
    return found


def fault_of_row(row: Row, stock: Ending) -> str:
    """Why a row does not show what it says it shows."""
    if stock.end != row.ends:
        return f"stock ends by {stock.end}, and the row says {row.ends}"
    for name, content in stock.streams.items():
        text, wanted = content.decode("utf-8", "backslashreplace"), row.says.get(name)
        if wanted is None and text:
            return f"stock writes to {name}, and the row does not say so"
        if wanted is not None and not re.search(wanted, text, re.M):
            return f"stock's {name} does not match {wanted!r}"
    return ""


@dataclass
class Known:
    """A difference that stays, the reason, and what it is to the byte."""

    because: str = ""
    changes: list[str] = field(default_factory=list)


def read_known(file: Path) -> dict[str, Known]:
    """The list: a row's name, and indented below it `because: …` and the changes."""
    known: dict[str, Known] = {}
    name = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            name = line.strip()
            if name in known:
                raise ValueError(f"{file}, line {number}: {name} is listed twice")
            known[name] = Known()
        elif not name:
            raise ValueError(f"{file}, line {number}: before the first name")
        elif line.strip().startswith("because: ") and not known[name].changes:
            known[name].because = line.strip()[len("because: "):]
        else:
            known[name].changes.append(line[4:].rstrip())
    for name, one in known.items():
        if not one.because or not one.changes:
            raise ValueError(f"{file}: {name} needs a reason and the changes")
    return known


def write_known(file: Path, known: dict[str, Known]) -> None:
    """With the words at its head as they are."""
    head = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    rows = ["\n".join([name, f"    because: {one.because}", *(f"    {line}" for line in one.changes)])
            for name, one in known.items()]
    file.write_text("\n\n".join(["\n".join(head), *rows]) + "\n", encoding="utf-8")


def verdict(known: Known | None, found: list[str]) -> str:
    """Empty when all is as it should be."""
    if known is None:
        return "" if not found else "the fork differs"
    if not found:
        return "listed as different, and it is not any more: take it off the list"
    if found != known.changes:
        return "listed as different, and it differs in another way"
    return ""
