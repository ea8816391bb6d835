"""Copies of source trees that stay fit for `make`: a file that does not change keeps its time."""

import filecmp
import re
import shutil
from pathlib import Path
from typing import Callable, Iterator

# What a build inside the tree leaves behind: an out-of-tree build would take it for its own.
PRODUCTS = re.compile(r"""
    .*\.(?:o|a|so|pyc)
    | Makefile(?:\.pre)? | pyconfig\.h | config\.(?:status|log) | pybuilddir\.txt
    | Modules/(?:config\.c|Setup\.(?:local|bootstrap|stdlib)|ld_so_aix)
    | Python/frozen_modules/.*\.h""", re.X)
CACHES = {".git", "__pycache__"}


def files(tree: Path, below: str = "") -> Iterator[str]:
    """Names of all source files, relative to the tree."""
    for entry in sorted((tree / below).iterdir()):
        name = f"{below}{entry.name}"
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in CACHES and name != "build":
                yield from files(tree, name + "/")
        elif not PRODUCTS.fullmatch(name):
            yield name


def same(old: Path, new: Path) -> bool:
    if old.is_symlink() or new.is_symlink():
        return old.is_symlink() and new.is_symlink() and old.readlink() == new.readlink()
    return new.is_file() and filecmp.cmp(old, new, shallow=False)


def mirror(source: Path, copy: Path, keep: Callable[[str], bool] = lambda _: False) -> int:
    """Makes `copy` equal to `source`, but for files of the copy that `keep` claims. A file that is there
    and changes gets the present time, so that what was built from it is built again; answers how many
    files changed."""
    changed = 0
    wanted = set(files(source))
    for name in wanted:
        old, new = source / name, copy / name
        if keep(name) or same(old, new):
            continue
        if old.is_symlink() or new.is_symlink():
            new.unlink(missing_ok=True)
        if new.exists():
            shutil.copyfile(old, new)
        else:
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old, new, follow_symlinks=False)
        changed += 1
    if copy.is_dir():
        for name in set(files(copy)) - wanted:
            if not keep(name):
                (copy / name).unlink()
                changed += 1
    return changed
