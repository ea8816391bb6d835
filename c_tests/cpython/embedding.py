"""Hosts that embed a stock interpreter: how each is compiled, with the library's source for hosts or without, and run."""

import json
import os
import shlex
import subprocess
import threading
from pathlib import Path

from case import Case
import needs

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"

QUESTION = """
import json, os, sys, sysconfig
of = sysconfig.get_config_var
print(json.dumps(dict(
    release=sys.version_info[:3], prefix=sys.base_prefix, exec_prefix=sys.base_exec_prefix,
    includes=[sysconfig.get_path("include"), os.path.dirname(sysconfig.get_config_h_filename())],
    folders=[of("LIBPL"), of("LIBDIR"), os.path.dirname(sysconfig.get_config_h_filename())],
    path=[folder for folder in sys.path if folder] if sysconfig.is_python_build() else [],
    name="python" + of("LDVERSION"), multiarch=of("MULTIARCH") or "",
    libraries=" ".join(of(name) or "" for name in ("LIBS", "SYSLIBS", "LINKFORSHARED")))))
"""


def is_older(file: Path, inputs: list[Path]) -> bool:
    return not file.is_file() or file.stat().st_mtime < max(one.stat().st_mtime for one in inputs)


class Embedded:
    """A stock interpreter, embedded by our hosts; they end it by its own means, or by the library's.

    Raises LookupError where there is nothing to link with.
    """

    title = "rtpy_finalize"

    def __init__(self, python: Path, is_fork: bool) -> None:
        self.python, self.is_fork = python, is_fork
        # Several cases want the library's source at once.
        self.compiling = threading.Lock()
        told = subprocess.run([python, "-I", "-c", QUESTION], check=True, capture_output=True, text=True)
        self.facts = json.loads(told.stdout)
        self.library = self._library()
        names = ".".join(map(str, self.release())) + ("-" + python.parts[-1] if "t" in python.name[6:] else "")
        self.place = TARGET / "hosts" / names / ("rtpy" if is_fork else "stock")
        headers = [folder for folder in self.facts["includes"] if (Path(folder) / "Python.h").exists()]
        if not headers:
            raise LookupError("there are no headers")

    def release(self) -> tuple[int, ...]:
        return tuple(self.facts["release"])

    def _library(self) -> Path:
        places = [Path(folder) for folder in self.facts["folders"] if folder]
        places += [Path(self.facts["prefix"]) / "lib" / self.facts["multiarch"]]
        for folder in places:
            for kind in ("so", "a"):
                file = folder / f"lib{self.facts['name']}.{kind}"
                if file.exists():
                    return file
        raise LookupError(f"there is no lib{self.facts['name']}")

    def command(self, case: Case) -> list[str]:
        place = needs.folder(case.needs, self.python) if case.needs else None
        if self.facts["path"]:
            # One that is not installed has its modules in several places.
            case.environment["PYTHONPATH"] = os.pathsep.join([*([str(place)] if place else []), *self.facts["path"]])
        else:
            case.environment["PYTHONHOME"] = f"{self.facts['prefix']}:{self.facts['exec_prefix']}"
        program = self.place / case.name
        headers = [*case.program.parent.glob("*.h"), *(ROOT / "include").glob("*.h")]
        # A package that comes with headers of its own, as pybind11 does.
        more = [place / case.needs / "include"] if place else []
        objects = [self._compiled(case.program, headers, more)]
        if self.is_fork:
            with self.compiling:
                objects.append(self._compiled(ROOT / "include" / "rtfinalize_python.c", headers, [], "-Wpedantic"))
        if is_older(program, [*objects, self.library]):
            self._link(objects, program, shlex.split(case.link))
        return [*self._loader(), str(program)]

    def _compiled(self, source: Path, headers: list[Path], more: list[Path], *flags: str) -> Path:
        compiled = self.place / f"{source.stem}.o"
        if is_older(compiled, [source, *headers]):
            self.place.mkdir(parents=True, exist_ok=True)
            cc, cxx = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
            compiler = [cxx, "-std=gnu++17"] if source.suffix == ".cpp" else [cc, "-std=gnu11"]
            subprocess.run([*compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-c", source, "-o", compiled,
                            f"-I{ROOT / 'include'}", *(f"-I{folder}" for folder in [*more, *self.facts["includes"]]),
                            *flags, *([] if self.is_fork else ["-DSTOCK"])], check=True)
        return compiled

    def _link(self, objects: list[Path], program: Path, more: list[str]) -> None:
        release = Path(os.environ.get("CARGO_TARGET_DIR", TARGET)).resolve() / "release"
        subprocess.run([os.environ.get("CXX", "c++"), "-pthread", *objects, self.library, "-o", program,
                        *shlex.split(self.facts["libraries"]), f"-L{release}", f"-Wl,-rpath,{release}", "-lrtfinalize",
                        f"-Wl,-rpath,{self.library.parent}", "-Wl,--allow-shlib-undefined", *more], check=True)

    def _loader(self) -> list[str]:
        """A Python on a libc of its own is a script that calls that one's loader; so is a host of it."""
        if self.python.read_bytes()[:2] != b"#!":
            return []
        words = shlex.split(self.python.read_text(encoding="utf-8"), comments=True)
        return words[words.index("exec") + 1 : words.index("--argv0")]
