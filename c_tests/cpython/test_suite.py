"""The comparison of CPython's own tests. Run by `python3 -m unittest`."""

import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

loader = SourceFileLoader("suite", str(Path(__file__).with_name("suite")))
suite = module_from_spec(spec_from_loader("suite", loader))  # type: ignore[arg-type]
loader.exec_module(suite)


class Comparison(unittest.TestCase):
    def results(self, **tests: str) -> "suite.Results":
        kinds = {"good": "", "bad": "<failure/>", "error": "<error/>", "skipped": "<skipped/>"}
        cases = "".join(f'<testcase name="{name}">{kinds[kind]}</testcase>' for name, kind in tests.items())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.xml"
            file.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
            return suite.read(file)

    def test_results_are_read(self) -> None:
        results = self.results(a="good", b="bad", c="error", d="skipped")
        self.assertEqual((results.good, results.bad, results.skipped), ({"a"}, {"b", "c"}, {"d"}))

    def test_one_that_fails_or_is_skipped_only_in_the_fork_is_found(self) -> None:
        stock = self.results(a="good", b="good", c="good", d="bad")
        self.assertEqual(suite.compare(stock, stock), (set(), set()))
        self.assertEqual(suite.compare(stock, self.results(a="bad", b="skipped", d="error")), ({"b", "c"}, {"a"}))


if __name__ == "__main__":
    unittest.main()
