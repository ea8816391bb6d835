"""What two programs say, beside each other as they run; after each other where stdout is no terminal."""

import shutil
import sys
import textwrap
import threading
from dataclasses import dataclass, field
from typing import Callable

sys.dont_write_bytecode = True

from terminal import bold, paint

# So many lines of a column are seen while the programs run.
MOST = 24
REDRAW_SECONDS = 0.1


@dataclass
class Column:
    title: str
    # What the program said, with the time of each line in seconds.
    lines: "list[tuple[float, str]]" = field(default_factory=list)
    # What stands below the lines while it runs.
    state: "Callable[[], str]" = lambda: ""

    def wrapped(self, width: int) -> "list[str]":
        laid_out: "list[str]" = []
        for at, text in self.lines:
            pieces = textwrap.wrap(text, max(width - 7, 20)) or [""]
            laid_out += [f"{at:5.1f}  {pieces[0]}"] + [f"       {piece}" for piece in pieces[1:]]
        return laid_out


class Screen:
    """The columns, drawn again and again until all is said."""

    def __init__(self, columns: "list[Column]") -> None:
        self._columns = columns
        self._over = threading.Event()
        self._height = 0
        self._thread = threading.Thread(target=self._draw_until_over)

    def __enter__(self) -> "Screen":
        if sys.stdout.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if sys.stdout.isatty():
            self._thread.join()
            self._draw(None)
            return
        for column in self._columns:
            print(f"{column.title}\n")
            print("".join(f"  {line}\n" for line in column.wrapped(110)))

    def _draw_until_over(self) -> None:
        while not self._over.wait(REDRAW_SECONDS):
            self._draw(min(MOST, shutil.get_terminal_size().lines - 5))

    def _draw(self, height: "int | None") -> None:
        """The last lines of each column, or all of them, in the place of what was drawn before."""
        columns = shutil.get_terminal_size().columns
        width = max((columns - 3) // 2, 30)
        sides = [column.wrapped(width) for column in self._columns]
        if height is None:
            height = max(map(len, sides))
        rows = [[bold(f"{column.title:<{width}}") for column in self._columns]]
        for at in range(height):
            row = []
            for side in sides:
                shown = side[-height:]
                text = shown[at][:width] if at < len(shown) else ""
                row.append(f"{text:<{width}}")
            rows.append(row)
        rows.append([paint("2", f"{column.state():<{width}}"[:width]) for column in self._columns])
        back = f"\033[{self._height}A" if self._height else ""
        # \033[J: what was drawn before may have been higher.
        text = back + "\r\033[J" + "".join(" | ".join(row).rstrip() + "\n" for row in rows)
        self._height = len(rows)
        sys.stdout.write(text)
        sys.stdout.flush()
