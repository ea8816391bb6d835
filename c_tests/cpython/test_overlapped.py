"""The Windows seam, as far as it can be checked elsewhere: it compiles, and calls the library."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from edits import EDITS
from edits.build import ADAPTER
from tree import Tree

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "target" / "cpython" / "source"
TOOLS = "x86_64-w64-mingw32-"
# What Microsoft's headers have and MinGW's have not.
MISSING = ["-DERROR_CONTROL_C_EXIT=572"]


class Overlapped(unittest.TestCase):
    def setUp(self) -> None:
        if shutil.which(f"{TOOLS}gcc") is None:
            self.skip("no compiler for Windows: apt-get install gcc-mingw-w64-x86-64")
        if not SOURCE.is_dir():
            self.skip(f"no source of CPython in {SOURCE}: c_tests/cpython/fetch")

    def skip(self, why: str) -> None:
        print(f"{self.id()}: skipped, {why}", file=sys.stderr)
        self.skipTest(why)

    def build(self, name: str, folder: Path) -> str:
        """Compiles an edited file for Windows; answers what was said of our part of it."""
        tree = Tree(SOURCE)
        tree.edit(name, EDITS[name])
        tree.write(folder)
        shutil.copy(SOURCE / "PC" / "pyconfig.h.in", folder / "pyconfig.h")
        folders = [folder, ADAPTER, ROOT / "include", folder / "Modules",
                   *(SOURCE / sub for sub in ("Include", "Include/internal", "PC", "Modules"))]
        done = subprocess.run([f"{TOOLS}gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-D_WIN32_WINNT=0x0A00",
                               "-DPy_BUILD_CORE_MODULE", *MISSING, *(f"-I{sub}" for sub in folders), "-c",
                               folder / name, "-o", folder / "object.o"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return "".join(line for line in done.stderr.splitlines(keepends=True)
                       if line.startswith((str(ADAPTER), str(ROOT / "include"))) or re.search(r"\brt_", line))

    def calls(self, folder: Path) -> set[str]:
        symbols = subprocess.run([f"{TOOLS}nm", "-u", folder / "object.o"], check=True, capture_output=True,
                                 text=True).stdout
        return {line.split()[-1] for line in symbols.splitlines()}

    def test_both_deallocators_leave_the_operation_to_the_library(self) -> None:
        for name in ("Modules/_winapi.c", "Modules/overlapped.c"):
            with self.subTest(name), tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                self.assertEqual(self.build(name, folder), "")
                self.assertLessEqual({"rt_overlapped_new", "rt_overlapped_dealloc"}, self.calls(folder))


if __name__ == "__main__":
    unittest.main()
