"""The packages from PyPI that rows need: installed once, in the versions that requirements.txt pins."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"


def pinned() -> dict[str, str]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "RTFINALIZE", "VIRTUAL_ENV"))}


def call(*arguments: object) -> None:
    done = subprocess.run(list(map(str, arguments)), env=plain_environment(), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{Path(str(arguments[0])).name} {arguments[1]} failed: {last}")


class Packages:
    """`folder` has them for as long as neither the list of versions nor the interpreter's release changes."""

    def __init__(self, python: Path, target: Path) -> None:
        self.python, self.target = python, target
        release = subprocess.run([python, "-c", "import sys; print(sys.version_info, sys.abiflags)"], check=True,
                                 env=plain_environment(), stdout=subprocess.PIPE).stdout
        key = hashlib.sha256(REQUIREMENTS.read_bytes() + release).hexdigest()[:12]
        self.folder = target / f"exits-packages-{key}"
        self.missing = ""  # why they are not there

    def provide(self) -> None:
        if self.folder.is_dir():
            return
        print("exits: installing packages from PyPI", flush=True)
        unfinished = self.folder.with_suffix(f".{os.getpid()}")
        try:
            # pip need not be a part of either interpreter: one in an environment of its own works for another.
            tools = self.target / "exits-venv"
            pip = tools / "bin" / "pip"
            if not pip.is_file():
                call(sys.executable, "-m", "venv", "--clear", tools)
                call(pip, "install", "--quiet", "--upgrade", "pip>=23.1")
            call(pip, "--python", self.python, "install", "--quiet", "--only-binary", ":all:", "--no-deps",
                 "--disable-pip-version-check", "--root-user-action", "ignore",
                 "--target", unfinished, "-r", REQUIREMENTS)
            call(self.python, "-m", "compileall", "-q", unfinished)
            for old in self.target.glob("exits-packages-*"):
                if old != unfinished:
                    shutil.rmtree(old, ignore_errors=True)
            unfinished.rename(self.folder)
        except (OSError, RuntimeError) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            self.missing = f"the packages could not be installed: {error}"

    def lacks(self, need: str) -> str:
        """Why a row that needs this cannot run; empty when it can."""
        if need in pinned():
            return self.missing
        return "" if shutil.which(need) else f"there is no command {need}"


def compiled(name: str, by: str, text: str, packages: Packages, source: Path, build: Path) -> Path:
    """The folder of an extension module, compiled once for both interpreters, as a wheel would be."""
    cxx = os.environ.get("CXX", "c++")
    root = packages.folder
    key = hashlib.sha256(f"{name} {by} {text} {packages.folder.name} {build}".encode()).hexdigest()[:12]
    folder = packages.target / "exits-modules" / key
    library = folder / f"{name}.so"
    if library.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.cpp"
    file.write_text(text, encoding="utf-8")
    includes = [f"-I{source / 'Include'}", f"-I{build}"]
    files: list[object] = [file]
    if by == "nanobind":
        files.append(root / "nanobind" / "src" / "nb_combined.cpp")
        includes += [f"-I{root / 'nanobind' / 'include'}", f"-I{root / 'nanobind' / 'ext' / 'robin_map' / 'include'}"]
    elif by == "pybind11":
        includes.append(f"-I{root / 'pybind11' / 'include'}")
    elif by != "c":
        raise ValueError(f"{name}: nothing is built by {by}")
    unfinished = library.with_suffix(f".{os.getpid()}")
    call(cxx, "-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-pthread", "-fno-strict-aliasing", *includes, *files,
         "-o", unfinished)
    unfinished.rename(library)
    return folder


