"""Edits in a source tree by anchors.

An edit names where it goes by a regular expression that must match exactly once in the file, or, with
`within`, in the one function of that name. Nothing is guessed: an anchor that is missing, or is there
twice, stops the whole integration before a byte is written.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Sequence


class AnchorError(Exception):
    """An edit that cannot be made; the text names the file, the anchor and what was found."""


@dataclass
class Span:
    """A piece of a text; positions are those of the whole text."""

    text: str
    start: int
    end: int

    def one(self, anchor: str, what: str = "anchor") -> "Span":
        """The single match of a regular expression; `^` and `$` are those of lines."""
        found = list(re.compile(anchor, re.M).finditer(self.text, self.start, self.end))
        if len(found) != 1:
            lines = [self.text.count("\n", 0, match.start()) + 1 for match in found]
            where = f"found {len(found)} times, in lines {lines}" if found else "not found"
            raise AnchorError(f"{what} {anchor!r} {where}")
        return Span(self.text, found[0].start(), found[0].end())

    def lines(self) -> "Span":
        """Grown to whole lines. A match that ends with a newline ends with its line."""
        start = self.text.rfind("\n", 0, self.start) + 1
        last = max(self.start, self.end - 1)
        end = self.text.find("\n", last) + 1
        return Span(self.text, start, end or len(self.text))

    def function(self, name: str) -> tuple["Span", "Span"]:
        """The definition of a C function, from its name's line on, and what stands between its braces.
        Both closing braces stand at the start of a line, as they do everywhere in CPython."""
        head = self.one(rf"^(?:\w[\w \t*]*[ \t*])?{name}\s*\([^;{{}}]*\)[^;{{}}()]*\{{", "function")
        close = re.compile(r"^\}", re.M).search(self.text, head.end)
        if close is None:
            raise AnchorError(f"function {name!r} has no end")
        return Span(self.text, head.start, close.end()), Span(self.text, head.end, close.start())

    def replaced(self, text: str) -> str:
        return self.text[: self.start] + text + self.text[self.end:]


def block(text: str) -> str:
    """Whole lines from a text written between triple quotes."""
    text = text.removeprefix("\n")
    return text if not text or text.endswith("\n") else text + "\n"


@dataclass
class Edit:
    """One edit: `apply` takes a file's text and answers the new one."""

    anchor: str
    text: str = ""
    within: str | None = field(default=None, kw_only=True)

    def scope(self, text: str) -> Span:
        whole = Span(text, 0, len(text))
        return whole.function(self.within)[0] if self.within else whole

    def apply(self, text: str) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        place = f" in {self.within}()" if self.within else ""
        return f"{type(self).__name__} {self.anchor!r}{place}"


class After(Edit):
    """Lines of ours after the line in which the anchor ends."""

    def apply(self, text: str) -> str:
        line = self.scope(text).one(self.anchor).lines()
        return Span(text, line.end, line.end).replaced(block(self.text))


class Before(Edit):
    """Lines of ours before the line in which the anchor starts."""

    def apply(self, text: str) -> str:
        line = self.scope(text).one(self.anchor).lines()
        return Span(text, line.start, line.start).replaced(block(self.text))


class Replace(Edit):
    """Exactly what the anchor matched, no more, becomes the text."""

    def apply(self, text: str) -> str:
        return self.scope(text).one(self.anchor).replaced(self.text)


class ExtendLine(Edit):
    """The text at the end of the anchor's line, before its newline."""

    def apply(self, text: str) -> str:
        end = self.scope(text).one(self.anchor).lines().end
        end -= text[:end].endswith("\n")
        return Span(text, end, end).replaced(self.text)


class ReplaceFunction(Edit):
    """A new body for the function that `anchor` names; its signature stays."""

    def apply(self, text: str) -> str:
        body = self.scope(text).function(self.anchor)[1]
        return body.replaced("\n" + block(self.text))


class RenameFunction(Edit):
    """The function's definition gets the name `text`: the stock one stays, to be called by ours."""

    def apply(self, text: str) -> str:
        whole, body = self.scope(text).function(self.anchor)
        return Span(text, whole.start, body.start).one(rf"\b{self.anchor}\b").replaced(self.text)


@dataclass
class ReplaceLines(Edit):
    """All lines from the anchor's to that of `last`, which must follow it, become the text. With an empty
    text they are deleted."""

    last: str = field(default="", kw_only=True)

    def apply(self, text: str) -> str:
        scope = self.scope(text)
        first = scope.one(self.anchor)
        last = first
        if self.last:
            last = Span(text, first.end, scope.end).one(self.last, f"end, after {self.anchor!r}:")
        lines = Span(text, first.start, last.end).lines()
        return lines.replaced(block(self.text))

    __str__ = Edit.__str__


class OneOf(Edit):
    """Where releases differ: of several edits, exactly one fits."""

    def __init__(self, *edits: Edit) -> None:
        super().__init__(" | ".join(str(edit) for edit in edits))
        self.edits = edits

    def apply(self, text: str) -> str:
        results, refusals = [], []
        for edit in self.edits:
            try:
                results.append(edit.apply(text))
            except AnchorError as refusal:
                refusals.append(str(refusal))
        if len(results) != 1:
            raise AnchorError(f"{len(results)} of {len(self.edits)} alternatives fit: {'; '.join(refusals)}")
        return results[0]


Edits = dict[str, Sequence[Edit]]


@dataclass
class Tree:
    """A source tree with edits pending in memory. All of them are tried, so that one run names every
    anchor that is gone; `failures` is empty when the result may be written."""

    root: Path
    texts: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def edit(self, name: str, edits: Sequence[Edit]) -> None:
        try:
            text = self.texts.get(name) or (self.root / name).read_text(encoding="utf-8")
        except OSError as error:
            self.failures.append(f"{name}: {error.strerror}")
            return
        for edit in edits:
            try:
                text = edit.apply(text)
            except AnchorError as refusal:
                self.failures.append(f"{name}: {edit}: {refusal}")
        self.texts[name] = text

    def write(self, into: Path, say: Callable[[str], object] = lambda _: None) -> int:
        """Writes what differs from the files of `into`; the others keep their time."""
        if self.failures:
            raise AnchorError("\n".join(self.failures))
        written = 0
        for name, text in self.texts.items():
            file = into / name
            data = text.encode()
            if not file.is_file() or file.read_bytes() != data:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                say(name)
                written += 1
        return written
