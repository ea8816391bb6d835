"""The edits in CPython's files, a module a seam. `EDITS` of a module maps a file to its edits, which are
made in their order; seams are applied in the order below."""

from edits import build, callbacks, files, lifecycle, threads

SEAMS = (build, lifecycle, threads, callbacks, files)
