"""Hosts that embed a stock interpreter: how each is compiled, with the library's source for hosts or without, and run."""

import json
import os
import shlex
import subprocess
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


class Embedded:
    """A stock interpreter, embedded by our hosts; they end it by its own means, or by the library's.

    Raises LookupError where there is nothing to link with.
    """

    title = "rtpy_finalize"

    def __init__(self, python: Path, is_fork: bool) -> None:
        self.python, self.is_fork = python, is_fork
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
        place = needs.folder(case.needs, ".".join(map(str, self.release()[:2]))) if case.needs else None
        if self.facts["path"]:
            # One that is not installed has its modules in several places.
            case.environment["PYTHONPATH"] = os.pathsep.join([*([str(place)] if place else []), *self.facts["path"]])
        else:
            case.environment["PYTHONHOME"] = f"{self.facts['prefix']}:{self.facts['exec_prefix']}"
        program = self.place / case.name
        sources = [case.program, *([ROOT / "include" / "rtfinalize_python.c"] if self.is_fork else [])]
        inputs = [*sources, *case.program.parent.glob("*.h"), *(ROOT / "include").glob("*.h"), self.library]
        if not program.is_file() or program.stat().st_mtime < max(file.stat().st_mtime for file in inputs):
            self.place.mkdir(parents=True, exist_ok=True)
            # A package that comes with headers of its own, as pybind11 does.
            self._compile(sources, program, [place / case.needs / "include"] if place else [])
        return [*self._loader(), str(program)]

    def _compile(self, sources: list[Path], program: Path, more: list[Path]) -> None:
        release = Path(os.environ.get("CARGO_TARGET_DIR", TARGET)).resolve() / "release"
        objects = []
        for source in sources:
            cc, cxx = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
            compiler = [cxx, "-std=gnu++17"] if source.suffix == ".cpp" else [cc, "-std=gnu11"]
            own = source.parent.name == "include"
            objects.append(self.place / f"{program.name}-{source.stem}.o")
            subprocess.run([*compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-c", source, "-o", objects[-1],
                            f"-I{ROOT / 'include'}", *(f"-I{folder}" for folder in [*more, *self.facts["includes"]]),
                            *(["-Wpedantic"] if own else []), *([] if self.is_fork else ["-DSTOCK"])], check=True)
        subprocess.run([os.environ.get("CXX", "c++"), "-pthread", *objects, self.library, "-o", program,
                        *shlex.split(self.facts["libraries"]), f"-L{release}", f"-Wl,-rpath,{release}", "-lrtfinalize",
                        f"-Wl,-rpath,{self.library.parent}", "-Wl,--allow-shlib-undefined"], check=True)

    def _loader(self) -> list[str]:
        """A Python on a libc of its own is a script that calls that one's loader; so is a host of it."""
        if self.python.read_bytes()[:2] != b"#!":
            return []
        words = shlex.split(self.python.read_text(encoding="utf-8"), comments=True)
        return words[words.index("exec") + 1 : words.index("--argv0")]
