"""The end of a program: what it has beside that of any Python."""

import sys

from ._engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._children import Child


class Program(Engine):
    def __init__(self, inherited: "frozenset[int]", collects: bool, is_reported: bool, child: "Optional[Child]") -> None:
        Engine.__init__(self, inherited, collects, is_reported)
        self.runs_callbacks = child is None or child.runs_exit_callbacks

    def rescue_files(self) -> None:
        Engine.rescue_files(self)
        self.end_workers()

    def end_workers(self) -> None:
        if "multiprocessing.process" in sys.modules:
            from . import _children

            _children.end_workers()
