"""The table of everyday exits, tried on programs whose end is known. Run by `python3 -m unittest`."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

from exits import compare, packages
from exits.ending import Build, Ending, run
from exits.row import Row, all_rows, read_rows


class ThisPython(Build):
    """The interpreter that runs the tests, in the place of a built one."""

    @property
    def python(self) -> Path:
        return Path(sys.executable)

    @property
    def source(self) -> Path:
        return Path("/no/such/source")


def row(text: str) -> Row:
    (one,) = read_rows(f"# %% name: a title\n{text}", "topic.py")
    return one


class Exits(unittest.TestCase):
    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = Path(held.name)
        self.build = ThisPython("this", Path("/no/such/build"))

    def ending(self, text: str) -> Ending:
        return run(row(text), self.build, self.folder / "run", [])

    def seen(self, text: str, **ended: object) -> compare.Seen:
        streams = {"stdout": ended.pop("stdout", b""), "stderr": ended.pop("stderr", b"")}
        return compare.seen(row(text), self.build, Ending(ended.pop("end", "exit 0"), streams, ended.pop("files", {})))


class Reading(Exits):
    def test_a_row_has_a_program_and_other_files(self) -> None:
        one = row("# ends: 3\n# argv: -u program.py 'a b'\n# set: A=b=c\nprint(1)\n# not: a key\n\n# --- x/y.py\nz\n\n\n")
        self.assertEqual(one.files, {"program.py": "print(1)\n# not: a key\n", "x/y.py": "z\n"})
        self.assertEqual((one.ends, one.environment), ("exit 3", {"A": "b=c"}))

    def test_a_key_that_is_none_is_named_with_its_line(self) -> None:
        with self.assertRaisesRegex(ValueError, "topic.py, line 2: no such key: exits"):
            row("# exits: 3\n")

    def test_all_rows_are_well_formed(self) -> None:
        rows = all_rows()
        self.assertGreaterEqual(len(rows), 150)
        pinned = packages.pinned()
        for one in rows:
            with self.subTest(one.name):
                self.assertTrue(set(one.normalise) <= set(compare.NAMED))
                self.assertTrue(set(one.says) <= {"stdout", "stderr"})
                self.assertTrue(one.build == "" or set(one.needs) & set(pinned))
        names = {one.name for one in rows}
        known = compare.read_known(Path(compare.__file__).parent / "differences")
        self.assertEqual(set(known) - names, set(), "listed, and there is no such row")


class Running(Exits):
    def test_streams_exit_code_and_files_are_seen(self) -> None:
        ended = self.ending("import sys, tempfile\nopen('left', 'w').write('x')\nprint('out')\nsys.exit('err')")
        self.assertEqual(ended.end, "exit 1")
        self.assertEqual(ended.streams, {"stdout": b"out\n", "stderr": b"err\n"})
        self.assertEqual(ended.files, {"left": b"x"})

    def test_a_signal_and_a_hang_are_named(self) -> None:
        self.assertEqual(self.ending("import os; os.kill(os.getpid(), 15)").end, "SIGTERM")
        self.assertEqual(self.ending("# seconds: 0.3\nwhile True: pass").end, "hang")

    def test_a_process_that_keeps_the_streams_open_is_a_hang(self) -> None:
        self.assertEqual(self.ending("# seconds: 0.5\n# run: sleep 60 & exit 0\n").end, "hang")

    def test_nothing_is_left_over_from_the_run_before(self) -> None:
        self.ending("open('left', 'w')")
        self.assertEqual(self.ending("pass").files, {})

    def test_python_variables_do_not_reach_a_program(self) -> None:
        program = "import os; print([name for name in os.environ if name.startswith(('PYTHON', 'RTFINALIZE'))])"
        self.assertEqual(self.ending(program).streams["stdout"], b"[]\n")
        self.assertEqual(self.ending("# set: PYTHONHASHSEED=1\n" + program).streams["stdout"], b"['PYTHONHASHSEED']\n")

    def test_standard_input_is_given_or_empty(self) -> None:
        self.assertEqual(self.ending("# stdin: 'a\\nb'\nprint(input(), input())").streams["stdout"], b"a b\n")
        self.assertEqual(self.ending("import sys; print(repr(sys.stdin.read()))").streams["stdout"], b"''\n")

    def test_a_terminal_is_typed_into_when_the_program_asks(self) -> None:
        ended = self.ending("# terminal: after name\n# stdin: 'Ada\\n'\nimport sys\nprint(sys.stdin.isatty(), input('name '))")
        self.assertIn(b"True Ada", ended.streams["stdout"])


class Comparing(Exits):
    def test_only_what_a_row_names_is_normalised(self) -> None:
        text = b"<x at 0x7f0000001234> in tmpab12_xyz\n"
        self.assertEqual(self.seen("pass", stdout=text).texts["stdout"], text.decode())
        self.assertEqual(self.seen("# normalise: address, temporary\n", stdout=text).texts["stdout"],
                         "<x at 0xADDRESS> in TEMPORARY\n")
        self.assertEqual(self.seen("# replace: \\d+ => N\n", stdout=b"a 12 b 3").texts["stdout"], "a N b N")

    def test_the_folders_of_a_build_are_one_for_both(self) -> None:
        text = b"/no/such/build/python /no/such/source/Lib/x.py\n"
        self.assertEqual(self.seen("", stderr=text).texts["stderr"], "BUILD/python SOURCE/Lib/x.py\n")

    def test_lines_of_no_order_are_sorted_when_a_row_says_so(self) -> None:
        self.assertEqual(self.seen("# sorted: stdout\n", stdout=b"b\na\n"), self.seen("# sorted: stdout\n", stdout=b"a\nb\n"))
        self.assertNotEqual(self.seen("", stdout=b"b\na\n"), self.seen("", stdout=b"a\nb\n"))

    def test_every_part_of_an_ending_counts(self) -> None:
        same = self.seen("", stdout=b"x\n", files={"log": b"1"})
        for other in (dict(stdout=b"x", files={"log": b"1"}), dict(stdout=b"x\n", files={"log": b"2"}),
                      dict(stdout=b"x\n"), dict(stdout=b"x\n", files={"log": b"1"}, end="exit 120"),
                      dict(stdout=b"x\n", files={"log": b"1"}, stderr=b"\r")):
            with self.subTest(other):
                self.assertNotEqual(self.seen("", **other), same)
                self.assertTrue(compare.changes(same, self.seen("", **other)))
                self.assertTrue(compare.unified(same, self.seen("", **other)))
        self.assertEqual(compare.changes(same, same), [])

    def test_a_long_line_is_clipped_and_still_told_from_another(self) -> None:
        one, other = (self.seen("", stdout=b"x" * 5000 + last) for last in (b"1\n", b"2\n"))
        changes = compare.changes(one, other)
        self.assertEqual([len(line) < 300 for line in changes], [True, True])
        self.assertNotEqual(changes[0][10:], changes[1][10:])

    def test_a_difference_has_one_line_for_each_of_the_text(self) -> None:
        changes = compare.changes(self.seen("", stdout=b"a\r b\x1b[0m"), self.seen("", stdout=b"a\r b\x1b[0m\n"))
        self.assertEqual(changes, ["stdout: - a\\r b\\x1b[0m (no newline)", "stdout: + a\\r b\\x1b[0m"])

    def test_an_ignored_file_must_still_be_there(self) -> None:
        here, there = (self.seen("# ignore: a.*\n", files=files) for files in ({"a.zip": b"1"}, {"a.zip": b"2"}))
        self.assertEqual(here, there)
        self.assertNotEqual(here, self.seen("# ignore: a.*\n"))

    def test_a_row_that_does_not_show_what_it_says_is_at_fault(self) -> None:
        def fault(text: str, end: str = "exit 0", out: bytes = b"", err: bytes = b"") -> str:
            return compare.fault_of_row(row(text), Ending(end, {"stdout": out, "stderr": err}))
        self.assertEqual(fault(""), "")
        self.assertIn("ends by exit 1", fault("", "exit 1"))
        self.assertIn("writes to stderr", fault("", err=b"NameError"))
        self.assertIn("does not match", fault("# stdout: ^done$\n", out=b"undone\n"))
        self.assertEqual(fault("# stdout: ^done$\n# ends: SIGINT\n", "SIGINT", out=b"x\ndone\n"), "")


class Listed(Exits):
    def known(self, text: str) -> dict[str, compare.Known]:
        file = self.folder / "differences"
        file.write_text(text)
        return compare.read_known(file)

    def test_a_listed_difference_must_occur_and_be_the_same(self) -> None:
        changes = compare.changes(self.seen("", stdout=b"a\n"), self.seen("", stdout=b"a\n  b\n", end="exit 120"))
        self.assertEqual(changes, ["end: exit 0 -> exit 120", "stdout: +   b"])
        known = self.known("# words\n\nname\n    because: it is so\n    end: exit 0 -> exit 120\n    stdout: +   b\n")["name"]
        self.assertEqual(compare.verdict(known, changes), "")
        self.assertIn("take it off the list", compare.verdict(known, []))
        self.assertIn("in another way", compare.verdict(known, changes[:1]))
        self.assertEqual(compare.verdict(None, []), "")
        self.assertIn("differs", compare.verdict(None, changes))

    def test_a_list_is_written_as_it_is_read(self) -> None:
        text = "# words\n# more\n\none\n    because: x\n    stdout: +   b\n\ntwo\n    because: y\n    file a b: new\n"
        known = self.known(text)
        compare.write_known(self.folder / "differences", known)
        self.assertEqual((self.folder / "differences").read_text(), text)

    def test_a_list_without_reason_or_changes_is_refused(self) -> None:
        for text in ("name\n    because: x\n", "name\n    stdout: + x\n", "    because: x\n", "name\n    because: x\n    a\nname\n"):
            with self.subTest(text), self.assertRaises(ValueError):
                self.known(text)


if __name__ == "__main__":
    unittest.main()
