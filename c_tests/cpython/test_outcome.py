"""The judge of the cases, tried on programs whose end is known. Run by `python3 -m unittest`."""

import sys
import tempfile
import unittest
from pathlib import Path

from case import all_cases, read
from outcome import Outcome, lost_lines, run


class Judge(unittest.TestCase):
    def outcome(self, program: str, *keys: str, is_fork: bool = True) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "program.py"
            file.write_text("".join(f"# {key}\n" for key in ("title: a program", *keys)) + program)
            return run(read(file), [sys.executable, str(file)], is_fork)

    def expect(self, what: str, good: bool, program: str, *keys: str) -> None:
        outcome = self.outcome(program, *keys)
        self.assertEqual((outcome.what, outcome.good), (what, good))

    def test_an_end_as_it_should_be_is_good(self) -> None:
        self.expect("ok", True, "pass")
        self.expect("ok", True, "raise SystemExit(120)", "exit: 0 or 120")

    def test_a_signal_a_hang_and_another_code_are_named(self) -> None:
        self.expect("SIGABRT", False, "import os; os.abort()")
        self.expect("hang", False, "while True: pass", "seconds: 0.3")
        self.expect("exit 3", False, "raise SystemExit(3)")
        self.expect("SIGTERM", False, "import os; os.kill(os.getpid(), 15)", "exit: SIGINT")
        self.expect("ok", True, "import os; os.kill(os.getpid(), 15)", "exit: 0 or SIGTERM")

    def test_bytes_that_are_missing_at_the_end_are_counted(self) -> None:
        for program, what in (("print(end='abcd')", "ok"), ("print(end='ab')", "lost 2 bytes"),
                              ("print(end='abXd')", "wrong bytes in stdout"),
                              ("print(end='abcdd')", "wrong bytes in stdout")):
            with self.subTest(program):
                self.expect(what, what == "ok", program, "arrives: stdout: b'abcd'")
        self.expect("lost 4 bytes", False, "pass", "arrives: out: b'abcd'")
        self.expect("ok", True, "open('out', 'w').write('abcd')", "arrives: out: b'abcd'")

    def test_missing_bytes_that_the_report_counts_are_not_lost(self) -> None:
        program = "open('report.json', 'w').write('{\"missing_bytes\": 3}')"
        self.expect("lost 1 bytes", False, program, "arrives: out: b'abcd'")
        self.expect("ok, its loss reported", True, program, "arrives: out: b'abc'")
        self.expect("ok", True, program, "counts: 3")
        self.expect("reports 3 bytes, not 4", False, program, "counts: 4")
        self.expect("reports 0 bytes, not 4", False, "pass", "counts: 4")

    def test_a_journal_wants_every_line_once(self) -> None:
        self.assertEqual(lost_lines(b"a\nbc\n", b"bc\nx\na\nhal"), 0)
        self.assertEqual(lost_lines(b"a\nbc\n", b"a\nb"), 3)
        self.assertEqual(lost_lines(b"a\nbc\nhal", b"a\nbc\n"), 0, "not entered to the end, so not accepted")
        self.assertIsNone(lost_lines(b"a\nbc\n", b"a\nbc\na\n"))

    def test_a_pipe_that_nobody_reads_fills_and_is_looked_at_after_the_end(self) -> None:
        program = "import os\nos.set_blocking(1, False)\nwhile True:\n try: os.write(1, b'x' * 4096)\n except BlockingIOError: break\n"
        self.expect("ok", True, program, "stdout: unread", "arrives: stdout: b'x' * 65536")

    def test_what_only_the_fork_can_say_is_wanted_of_it_alone(self) -> None:
        for program, good in (("import sys; sys.stderr.write('waits for me')", True), ("pass", False)):
            self.assertEqual(self.outcome(program, "says: for m.").good, good)
            self.assertTrue(self.outcome(program, "says: for m.", is_fork=False).good)

    def test_a_measure_is_read(self) -> None:
        self.assertEqual(self.outcome("print('measured 1.5 KiB a life')").measured, (1.5, "KiB a life"))

    def test_python_variables_do_not_reach_a_case(self) -> None:
        self.expect("ok", True, "import os; assert not [name for name in os.environ if name.startswith('PYTHON')]")


class Cases(unittest.TestCase):
    def test_all_are_well_formed(self) -> None:
        cases = all_cases()
        self.assertGreater(len(cases), 30)
        self.assertEqual(len({case.name for case in cases}), len(cases))

    def test_what_stock_does_not_have_runs_under_the_fork_only(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for word, under_stock in (("none", False), ("sometimes", True), ("always", True)):
                file = Path(folder) / f"{word}.py"
                file.write_text(f"# title: x\n# stock: {word}\n")
                self.assertEqual(read(file).runs_under("stock"), under_stock)
                self.assertTrue(read(file).runs_under("fork"))

    def test_what_a_release_of_cpython_cured_must_fail_before_it_only(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "case.py"
            for stock, before, after in (("always until 3.13.8", True, False), ("always", True, True),
                                         ("sometimes", False, False), ("none", False, False)):
                with self.subTest(stock):
                    file.write_text(f"# title: x\n# stock: {stock}\n")
                    self.assertEqual(read(file).must_fail_in_stock((3, 13, 7)), before)
                    self.assertEqual(read(file).must_fail_in_stock((3, 13, 8)), after)
                    self.assertEqual(read(file).must_fail_in_stock((3, 13, 15)), after)

    def test_a_key_that_is_none_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for number, line in enumerate(("title: x\n# colour: red", "title: x\n# stdin: busy", "of: x",
                                           "title: x\n# stock: always until then",
                                           "title: x\n# stock: sometimes until 3.13.8")):
                file = Path(folder) / f"{number}.py"
                file.write_text(f"# {line}\n")
                self.assertRaises(ValueError, read, file)


if __name__ == "__main__":
    unittest.main()
