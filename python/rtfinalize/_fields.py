"""What a buffered file holds, and who has its lock, which Python does not say.

Both stand in the object's own fields, at offsets that differ between releases. They are found by experiment: a file of
our own is brought into states that are known, and a field is the one word that changes as the state does. Where there is
not exactly one such word nothing is known (`None`), and nothing is guessed.
"""

import io
import sys
from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional

WORD = 8 if sys.maxsize > 2**32 else 4


def words_of(thing: object) -> "list[int]":
    """Without what every object begins with: of a free-threaded Python that names the thread which made the object."""
    size = type(thing).__basicsize__
    data = _native.fields(thing, size)
    fields = range(object.__basicsize__, size - WORD + 1, WORD)
    return [int.from_bytes(data[at : at + WORD], sys.byteorder) for at in fields]


def _only(found: "list[int]") -> "int | None":
    return found[0] if len(found) == 1 else None


class _Raw(io.RawIOBase):
    """A raw file that accepts of each write as much as its plan says."""

    def __init__(self) -> None:
        self.plan: "List[Callable[[], Optional[int]]]" = []

    def writable(self) -> bool:
        return True

    def write(self, data: "Any") -> "int | None":
        return self.plan.pop(0)() if self.plan else len(data)


class Layout:
    """The offsets in this Python, in words."""

    def __init__(self) -> None:
        self.write_pos: "int | None" = None
        self.write_end: "int | None" = None
        self.owner: "int | None" = None
        self.pending: "int | None" = None
        try:
            self._look_at_buffered()
            self._look_at_text()
        except Exception:
            # Streams that behave in another way than those of 3.9 to 3.15.
            pass

    def _look_at_buffered(self) -> None:
        accepted, taken = 2917, 1103
        owners: "list[int]" = []
        raw = _Raw()
        file = io.BufferedWriter(raw, 4096)
        empty = words_of(file)
        file.write(b"x" * accepted)
        full = words_of(file)
        raw.plan = [lambda: taken, lambda: None]
        try:
            file.flush()
        except BlockingIOError:
            pass
        part = words_of(file)

        def look() -> int:
            me = _native.this_thread()
            owners.extend(at for at, word in enumerate(words_of(file)) if word == me)
            return accepted - taken

        raw.plan = [look]
        file.flush()
        after = words_of(file)
        every = range(len(empty))
        self.write_end = _only(
            [at for at in every if full[at] == part[at] == accepted and after[at] != accepted and empty[at] != accepted]
        )
        self.write_pos = _only([at for at in every if part[at] == taken and full[at] == after[at] == 0])
        owner = _only(owners)
        self.owner = owner if owner is not None and after[owner] == empty[owner] == 0 else None

    def _look_at_text(self) -> None:
        # Wide characters, so that bytes are not taken for characters.
        file = io.TextIOWrapper(io.BytesIO(), encoding="utf-16-le")
        file.write("x" * 577)
        once = words_of(file)
        file.write("y" * 211)
        twice = words_of(file)
        file.flush()
        flushed = words_of(file)
        self.pending = _only(
            [at for at in range(len(once)) if (once[at], twice[at], flushed[at]) == (2 * 577, 2 * 788, 0)]
        )

    @property
    def is_known(self) -> bool:
        return None not in (self.write_pos, self.write_end, self.owner, self.pending)

    def unwritten(self, file: object) -> "int | None":
        """The bytes that a file has accepted and not passed on."""
        if isinstance(file, io.TextIOWrapper):
            return None if self.pending is None else words_of(file)[self.pending]
        if self.write_pos is None or self.write_end is None:
            return None
        words = words_of(file)
        end, pos = words[self.write_end], words[self.write_pos]
        # With nothing in the buffer the end is -1.
        return 0 if end >= 2 ** (8 * WORD - 1) else end - pos

    def holder(self, file: object) -> "int | None":
        """The thread that has the lock of a buffered file; 0 if none has, `None` if nobody knows."""
        return None if self.owner is None else words_of(file)[self.owner]


_found: "Optional[Layout]" = None


def layout() -> Layout:
    """The layout in this Python, which is looked for once."""
    global _found
    if _found is None:
        _found = Layout()
    return _found
