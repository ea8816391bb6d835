"""The CPythons from 3.9 on: those of this machine, and those that can be had for it."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "c_tests" / "cpython"))

from debian import Apt, Refusal  # noqa: E402

TARGET = ROOT / "target"
# Where Cargo builds; and where `make` has built the library.
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", TARGET)).resolve()
RELEASE = BUILT / "release"
FETCHED = TARGET / "pythons"
# Made by `c_tests/cpython/build stock nogil`.
FREE_THREADED = TARGET / "cpython" / "stock-nogil" / "python"

OLDEST = (3, 9)
# Those that few machines have yet.
TO_FETCH = ("3.14", "3.15")
SUITE = "unstable"

QUESTION = """
import json, os, platform, sys, sysconfig
print(json.dumps([platform.python_implementation(), sys.version.split()[0], list(sys.version_info[:2]),
                  bool(sysconfig.get_config_var("Py_GIL_DISABLED")), sys.prefix == sys.base_prefix,
                  os.path.realpath(sys.executable)]))
"""


@dataclass(frozen=True)
class Interpreter:
    path: Path
    kind: str
    version: str
    minor: tuple[int, int]
    is_free_threaded: bool

    @property
    def name(self) -> str:
        return self.version + ("t" if self.is_free_threaded else "")


@dataclass(frozen=True)
class LeftOut:
    what: str
    why: str


def clean_environment() -> dict[str, str]:
    """Without PYTHONUNBUFFERED and its like, which are meant for other programs than ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _candidates() -> Iterator[tuple[Path, str]]:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted(pyenv.glob("versions/*/bin")):
        yield from _in(folder, "pyenv")
    for folder, kind in (Path("/usr/bin"), "the system's"), (Path("/usr/local/bin"), "in /usr/local"):
        yield from _in(folder, kind)
    for folder in map(Path, os.environ.get("PATH", "").split(os.pathsep)):
        if folder != pyenv / "shims":
            yield from _in(folder, "in PATH")
    for folder in sorted(FETCHED.glob("*/usr/bin")):
        yield from _in(folder, f"Debian's of {SUITE}, on a libc of its own")
    if FREE_THREADED.exists():
        yield FREE_THREADED, "built here, free-threaded"


def _in(folder: Path, kind: str) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.glob("python3*")):
        if re.fullmatch(r"python3(\.\d+t?)?", file.name) and os.access(file, os.X_OK):
            yield file, kind


def _ask(path: Path, kind: str) -> "Interpreter | LeftOut | None":
    """`None` for what is not an interpreter of its own."""
    try:
        told = subprocess.run([path, "-I", "-c", QUESTION], env=clean_environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        made_by, version, minor, is_free_threaded, is_base, real = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return LeftOut(str(path), "it does not run")
    if not is_base:
        return None
    if made_by != "CPython":
        return LeftOut(f"{version} {real}", f"it is {made_by}")
    if tuple(minor) < OLDEST:
        return LeftOut(f"{version} {real}", "it is older than %d.%d" % OLDEST)
    return Interpreter(Path(real), kind, version, (minor[0], minor[1]), is_free_threaded)


def on_this_machine() -> "list[Interpreter | LeftOut]":
    """Each once, the oldest first, whatever names it has."""
    found: "dict[str, Interpreter | LeftOut]" = {}
    seen: set[Path] = set()
    for path, kind in _candidates():
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        answer = _ask(path, kind)
        if answer is not None:
            found.setdefault(str(answer.path) if isinstance(answer, Interpreter) else answer.what, answer)
    return sorted(found.values(), key=lambda one: (isinstance(one, LeftOut), _numbers(one)))


def _numbers(one: "Interpreter | LeftOut") -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", one.version if isinstance(one, Interpreter) else one.what)[:3]))


def fetch(version: str) -> None:
    """Unpacks Debian's packages of a CPython, with all that they depend on, below target/pythons.

    A libc that is newer than the system's runs by its own loader only. So what stands in bin is a script that calls
    that loader; by the name it passes on, Python finds its library, and itself once more for a child or an environment.
    """
    place = FETCHED / version
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        Apt(FETCHED / "apt", "deb", SUITE).by_one_of_the_mirrors(lambda: _unpack(version, place))
        (place / "usr" / "libexec").mkdir(exist_ok=True)
        (place / "usr" / "bin" / f"python{version}").rename(place / "usr" / "libexec" / f"python{version}")
        # Where the compiler looks for it is /usr/include.
        for folder in place.glob(f"usr/include/*/python{version}"):
            link = place / "usr" / "include" / f"python{version}" / folder.parent.name
            link.symlink_to(Path("..") / folder.parent.name)
        (place / "complete").touch()
    _write_script(version, place)


def _unpack(version: str, place: Path) -> None:
    if not shutil.which("dpkg-deb"):
        raise Refusal("it comes in packages of Debian, and dpkg-deb is not on this machine")
    apt = Apt(FETCHED / "apt", "deb", SUITE)
    for old in apt.folder.glob("*.deb"):
        old.unlink()
    # Nothing counts as installed, so this is everything down to libc.
    plan = apt.run("install", "--simulate", "--yes", "--no-install-recommends", f"python{version}",
                   f"libpython{version}-dev")
    apt.run("download", *(f"{name}={which}" for name, which in re.findall(r"^Inst (\S+) \((\S+) ", plan, re.M)))
    place.mkdir(parents=True)
    for package in sorted(apt.folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, place], check=True)
        package.unlink()


def _write_script(version: str, place: Path) -> None:
    libraries = {file.parent for file in place.glob("usr/lib/*/libc.so.6")}
    loaders = {file.resolve() for file in place.glob("usr/lib*/ld-*.so.*")}
    if len(libraries) != 1 or len(loaders) != 1:
        raise Refusal(f"the packages of {SUITE} have no libc, or no loader, where it was expected")
    script = place / "usr" / "bin" / f"python{version}"
    text = f"""#!/bin/sh
exec '{loaders.pop()}' --inhibit-cache --library-path '{libraries.pop()}' --argv0 "$0" \\
    '{place}/usr/libexec/python{version}' "$@"
"""
    if not script.exists() or script.read_text(encoding="utf-8") != text:
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those that say which Pythons are taken."""
    parser.add_argument("--no-fetch", action="store_true", help="those that this machine has")
    parser.add_argument("--only", default="", metavar="VERSION", help="those whose version begins so; 3.13t is a free-threaded one")
    parser.add_argument("--few", action="store_true", help="the oldest, the newest, and one that is free-threaded")


def _is(one: Interpreter, version: str) -> bool:
    return one.version.startswith(version.rstrip("t")) and (one.is_free_threaded or not version.endswith("t"))


def chosen(options: argparse.Namespace) -> "list[Interpreter | LeftOut]":
    found = every(not options.no_fetch)
    pythons = [one for one in found if isinstance(one, Interpreter) and _is(one, options.only)]
    left_out = [one for one in found if isinstance(one, LeftOut)]
    if options.few:
        with_lock = [one for one in pythons if not one.is_free_threaded]
        few = {*with_lock[:1], *with_lock[-1:], *[one for one in pythons if one.is_free_threaded][:1]}
        left_out += [LeftOut(one.name, "only few were asked for") for one in pythons if one not in few]
        pythons = [one for one in pythons if one in few]
    return [*pythons, *left_out]


def build_free_threaded() -> None:
    """Takes minutes the first time."""
    build = subprocess.run([ROOT / "c_tests" / "cpython" / "build", "stock", "nogil"], env=clean_environment(),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if build.returncode != 0:
        raise Refusal(f"it could not be built:\n{build.stdout.rstrip()}")


def every(fetches: bool = True, builds: bool = False) -> "list[Interpreter | LeftOut]":
    """All of them, first getting those that are missing: of 3.14 and 3.15 packages, of the free-threaded one a build."""
    refused: list[LeftOut] = []
    present = {one.minor for one in on_this_machine() if isinstance(one, Interpreter) and not one.is_free_threaded
               and FETCHED not in one.path.parents}
    for version in TO_FETCH:
        major, minor = map(int, version.split("."))
        if (major, minor) in present:
            continue
        try:
            if fetches or (FETCHED / version / "complete").exists():
                fetch(version)
            else:
                refused.append(LeftOut(version, "it is not on this machine, and was not to be fetched"))
        except (Refusal, subprocess.CalledProcessError) as why:
            refused.append(LeftOut(version, str(why).splitlines()[-1]))
    if builds:
        try:
            build_free_threaded()
        except Refusal as why:
            refused.append(LeftOut("3.13t", str(why).splitlines()[-1]))
    found = on_this_machine() + refused
    if not builds and not any(isinstance(one, Interpreter) and one.is_free_threaded for one in found):
        found.append(LeftOut("3.13t", "a free-threaded one is built by `make python-free-threaded` only; it takes minutes"))
    return found
