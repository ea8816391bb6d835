"""`pytest --rtfinalize`: which test left a thread, an unflushed file or an open guard behind."""

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generator, List, Optional, Tuple

    from ._leaks import Leaks

SECTION = "rtfinalize"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rtfinalize", "what tests leave behind (rtfinalize)")
    # Two options, for pytest would take the next word for a value that can be left out.
    group.addoption(
        "--rtfinalize",
        action="store_const",
        const="report",
        dest="rtfinalize",
        default=None,
        help="report the tests that leave a thread, a file with unwritten bytes or an open guard behind",
    )
    group.addoption(
        "--rtfinalize=fail", action="store_const", const="fail", dest="rtfinalize", help="have these tests fail"
    )
    parser.addini("rtfinalize_ignore_threads", "names of threads that may be left behind, with * and ?", "linelist", [])
    parser.addini("rtfinalize_ignore_files", "names of files that may be left behind, with * and ?", "linelist", [])
    parser.addini("rtfinalize_grace", "how many seconds a thread may take to end after its test", default="0.5")


def pytest_configure(config: pytest.Config) -> None:
    mode: "Optional[str]" = config.getoption("rtfinalize")
    if mode is None:
        return
    from . import _leaks, _starts

    try:
        grace = float(config.getini("rtfinalize_grace"))
    except ValueError:
        raise pytest.UsageError("rtfinalize_grace is %r; it takes seconds" % config.getini("rtfinalize_grace")) from None
    _starts.note()
    ignored = (config.getini("rtfinalize_ignore_threads"), config.getini("rtfinalize_ignore_files"))
    config.pluginmanager.register(Plugin(_leaks.Leaks(grace, *ignored), mode == "fail"), "rtfinalize-leaks")


class Plugin:
    def __init__(self, leaks: "Leaks", fails: bool) -> None:
        self._leaks = leaks
        self._fails = fails
        self._has_failed = False
        self._found: "Optional[str]" = None
        self._reported: "List[Tuple[str, str]]" = []

    # A test begins before the first of its fixtures, and ends after the last of them.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._has_failed = False
        self._leaks.begin_test(item.nodeid)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: "pytest.FixtureDef[Any]") -> "Generator[None, Any, None]":
        if fixturedef.scope == "function":
            yield
            return
        self._leaks.begin_fixture()
        yield
        name = "fixture %r of the %s" % (fixturedef.argname, fixturedef.scope)
        self._leaks.end_fixture_setup(id(fixturedef), name)

    def pytest_fixture_post_finalizer(self, fixturedef: "pytest.FixtureDef[Any]") -> None:
        self._leaks.end_fixture(id(fixturedef))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        # The traceback of a failure keeps the test's files, which are not left behind by the test itself.
        left = self._leaks.end_test(with_files=not self._has_failed)
        text = "\n".join(
            "%s left behind:\n%s" % ("the test" if owner == item.nodeid else owner, "\n".join("  " + x for x in lines))
            for owner, lines in left
        )
        if not text:
            return
        if self._fails:
            pytest.fail(text, pytrace=False)
        self._found = text

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self) -> "Generator[None, Any, None]":
        outcome = yield
        report = outcome.get_result()
        self._has_failed |= report.failed
        if report.when == "teardown" and self._found is not None:
            # By way of the report it comes to the process that prints it, too.
            report.sections.append((SECTION, self._found))
            self._found = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self._reported += [(report.nodeid, text) for section, text in report.sections if section == SECTION]

    def pytest_terminal_summary(self, terminalreporter: "Any") -> None:
        if not self._reported:
            return
        terminalreporter.section("rtfinalize: left behind")
        for name, text in self._reported:
            terminalreporter.write_line("%s: %s" % (name, text))
