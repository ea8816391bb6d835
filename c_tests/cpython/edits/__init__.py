"""The edits in CPython's files, a module a seam. `EDITS` of a module maps a file to its edits, which are
made in their order; a file's edits of an earlier seam come first."""

from tree import Edit

from edits import build, callbacks, files, guards, lifecycle, overlapped, threads

SEAMS = (lifecycle, threads, callbacks, files, guards, overlapped)

EDITS: dict[str, list[Edit]] = {}
for seam in SEAMS:
    for name, edits in seam.EDITS.items():
        EDITS.setdefault(name, []).extend(edits)
EDITS |= build.edits(EDITS)
