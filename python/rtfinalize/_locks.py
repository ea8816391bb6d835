"""Which thread holds the lock of which file, and which one waits for it."""

from . import _files, _where
from ._fields import layout, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional


class Locks:
    """As they are at this moment."""

    def __init__(self) -> None:
        known = layout()
        self._held: "Dict[int, List[str]]" = {}
        # By every word of the file's fields, one of which is the address of its lock.
        self._by_word: "Dict[int, Any]" = {}
        self._holders: "Dict[int, int]" = {}
        for file in _files.every():
            holder = known.holder(file) if isinstance(file, _files.BUFFERS) else None
            if holder:
                self._held.setdefault(holder, []).append(_files.name_of(file))
                self._holders[id(file)] = holder
                self._by_word.update(dict.fromkeys(words_of(file), file))

    def of(self, ident: "Optional[int]", native_id: "Optional[int]") -> str:
        """`, holds the lock of a.txt`, or `, waits for the lock of a.txt, which thread 'x' holds`, or nothing."""
        text = "".join(", holds the lock of %s" % file for file in self._held.get(ident or 0, ()))
        file = self._by_word.get(_where.sleeps_at(native_id) or -1) if self._by_word else None
        if file is not None:
            holder = _where.name(self._holders[id(file)])
            text += ", waits for the lock of %s, which %s holds" % (_files.name_of(file), holder)
        return text
