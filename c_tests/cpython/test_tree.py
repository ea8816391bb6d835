"""Run by `python3 -m unittest`, from this folder."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from copying import mirror
from tree import (After, AnchorError, Before, Edit, ExtendLine, OneOf, RenameFunction, Replace,
                  ReplaceFunction, ReplaceLines, Tree)

SOURCE = """\
#include "host.h"

static int
first(int value)
{
    step(value);
    return value;
}

int second(void) {
    if (ready) {
        step(2);
    }
    return first(3);
}
"""


class Anchors(unittest.TestCase):
    def refused(self, edit: Edit, *words: str) -> None:
        with self.assertRaises(AnchorError) as caught:
            edit.apply(SOURCE)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_one_that_is_missing_is_refused_by_every_edit(self) -> None:
        for edit in (After("third", "x"), Before("third", "x"), Replace("third", "x"),
                     ExtendLine("third", "x"), ReplaceFunction("third", "x"), RenameFunction("third", "x"),
                     ReplaceLines("third", "x"), ReplaceLines("first", "x", last="third")):
            with self.subTest(str(edit)):
                self.assertRaises(AnchorError, edit.apply, SOURCE)
        self.refused(After("third", "x"), "'third'", "not found")

    def test_one_that_is_there_twice_is_refused_with_its_lines(self) -> None:
        self.refused(After(r"step\(", "x"), "found 2 times", "[6, 12]")

    def test_one_that_is_there_twice_may_be_single_in_a_function(self) -> None:
        text = After(r"step\(", "    more();", within="second").apply(SOURCE)
        self.assertIn("        step(2);\n    more();\n    }\n", text)

    def test_the_function_of_an_edit_has_to_exist_once(self) -> None:
        self.refused(After("step", "x", within="third"), "function", "not found")
        with self.assertRaises(AnchorError) as caught:
            After("step", "x", within="first").apply(SOURCE + SOURCE)
        self.assertIn("found 2 times", str(caught.exception))

    def test_a_call_is_not_taken_for_a_definition(self) -> None:
        self.refused(ReplaceFunction("step", "x"), "not found")

    def test_the_end_of_lines_has_to_follow_the_first(self) -> None:
        self.refused(ReplaceLines("return first", last="#include"), "end, after", "not found")


class Text(unittest.TestCase):
    def test_goes_in_as_whole_lines(self) -> None:
        text = After("#include", '#include "ours.h"').apply(SOURCE)
        text = Before(r"^first", "/* ours */\n").apply(text)
        self.assertTrue(text.startswith('#include "host.h"\n#include "ours.h"\n\nstatic int\n/* ours */\nfirst('))

    def test_replaces_exactly_the_match(self) -> None:
        self.assertIn("return ours(3);", Replace(r"first(?=\(3)", "ours").apply(SOURCE))

    def test_extends_a_line_also_the_last_without_newline(self) -> None:
        self.assertEqual(ExtendLine("^A=", " more").apply("A= 1\nB= 2"), "A= 1 more\nB= 2")
        self.assertEqual(ExtendLine("^B=", " more").apply("A= 1\nB= 2"), "A= 1\nB= 2 more")

    def test_takes_the_place_of_lines_or_deletes_them(self) -> None:
        text = ReplaceLines("if .ready", "    ours();", last=r"^    \}", within="second").apply(SOURCE)
        self.assertIn("int second(void) {\n    ours();\n    return first(3);\n}\n", text)
        self.assertNotIn("host.h", ReplaceLines("#include").apply(SOURCE))

    def test_becomes_a_function_body_under_the_old_signature(self) -> None:
        text = ReplaceFunction("first", "    return ours(value);").apply(SOURCE)
        self.assertIn("static int\nfirst(int value)\n{\n    return ours(value);\n}\n\nint second", text)
        text = ReplaceFunction("second", "    return 0;").apply(SOURCE)
        self.assertTrue(text.endswith("int second(void) {\n    return 0;\n}\n"))

    def test_renames_the_definition_and_no_call(self) -> None:
        text = RenameFunction("first", "stock_first").apply(SOURCE)
        self.assertIn("static int\nstock_first(int value)\n", text)
        self.assertIn("return first(3);", text)

    def test_of_alternatives_exactly_one_fits(self) -> None:
        text = OneOf(After("old_name", "x"), After("#include", "y")).apply(SOURCE)
        self.assertTrue(text.startswith('#include "host.h"\ny\n'))
        for edits in ((After("old_name", "x"), After("third", "y")),
                      (After("#include", "x"), After("^first", "y"))):
            self.assertRaises(AnchorError, OneOf(*edits).apply, SOURCE)


class Trees(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "a.c").write_text(SOURCE)

    def test_nothing_is_written_when_an_anchor_is_missing_and_all_are_named(self) -> None:
        tree = Tree(self.root)
        tree.edit("a.c", [After("#include", "x"), After("third", "y")])
        tree.edit("b.c", [After("#include", "x")])
        with self.assertRaises(AnchorError) as caught:
            tree.write(self.root)
        self.assertIn("a.c: After 'third'", str(caught.exception))
        self.assertIn("b.c: No such file", str(caught.exception))
        self.assertEqual((self.root / "a.c").read_text(), SOURCE)

    def test_a_file_that_does_not_change_keeps_its_time(self) -> None:
        for expected in (1, 0):
            tree = Tree(self.root)
            tree.edit("a.c", [Replace("host.h", "ours.h")] if expected else [])
            self.assertEqual(tree.write(self.root), expected)
            os.utime(self.root / "a.c", (1, 1))
        self.assertEqual((self.root / "a.c").stat().st_mtime, 1)

    def test_a_copy_follows_its_source_and_leaves_out_what_a_build_made(self) -> None:
        copy = self.root / "copy"
        source = self.root / "source"
        (source / "Modules").mkdir(parents=True)
        for name in ("a.c", "b.c", "a.o", "Makefile", "pyconfig.h", "Modules/config.c", "Modules/Makefile"):
            (source / name).write_text(name)
        (source / "Modules" / "link").symlink_to("nowhere")
        self.assertEqual(mirror(source, copy), 4)
        self.assertEqual((copy / "Modules" / "link").readlink(), Path("nowhere"))
        self.assertEqual(sorted(str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()),
                         ["Modules/Makefile", "a.c", "b.c"])
        self.assertEqual(mirror(source, copy), 0)
        os.utime(copy / "a.c", (1, 1))
        (source / "a.c").write_text("new")
        os.utime(source / "a.c", (1, 1))
        (source / "b.c").unlink()
        (copy / "ours.c").touch()
        self.assertEqual(mirror(source, copy, keep=lambda name: name == "ours.c"), 2)
        self.assertEqual((copy / "a.c").read_text(), "new")
        self.assertGreater((copy / "a.c").stat().st_mtime, 1, "make has to see that it changed")
        self.assertFalse((copy / "b.c").exists())
        self.assertTrue((copy / "ours.c").exists())


class Integration(unittest.TestCase):
    """The command itself, on a tree of the few lines that its own edits look for."""

    def setUp(self) -> None:
        from edits import EDITS
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        source = Path(__file__).resolve().parents[2] / "target" / "cpython" / "source"
        if not source.is_dir():
            self.skipTest(f"{source} is not there; c_tests/cpython/fetch puts it there")
        for name in EDITS:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / name).write_bytes((source / name).read_bytes())

    def integrate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(Path(__file__).with_name("integrate")), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def snapshot(self) -> dict[Path, tuple[bytes, int]]:
        return {file: (file.read_bytes(), file.stat().st_mtime_ns)
                for file in self.tree.rglob("*") if file.is_file()}

    def test_a_second_run_says_so_and_changes_nothing(self) -> None:
        first = self.integrate(str(self.tree))
        self.assertEqual(first.returncode, 0, first.stderr)
        after = self.snapshot()
        second = self.integrate(str(self.tree))
        self.assertIn("is integrated already", second.stdout)
        self.assertEqual(self.snapshot(), after)

    def test_a_check_writes_nothing(self) -> None:
        before = self.snapshot()
        self.assertIn("every anchor is found", self.integrate("--check", str(self.tree)).stdout)
        self.assertEqual(self.snapshot(), before)

    def test_a_line_that_is_gone_fails_and_writes_nothing(self) -> None:
        makefile = self.tree / "Makefile.pre.in"
        makefile.write_text(makefile.read_text().replace("\nPYTHON_OBJS=", "\nOBJS_OF_PYTHON="))
        before = self.snapshot()
        done = self.integrate(str(self.tree))
        self.assertEqual(done.returncode, 1)
        self.assertIn("Makefile.pre.in", done.stderr)
        self.assertIn("PYTHON_OBJS", done.stderr)
        self.assertEqual(self.snapshot(), before)


if __name__ == "__main__":
    unittest.main()
