"""Packages from PyPI that cases need: wheels for the CPython that is built, each installed once."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "target" / "cpython" / "case-packages"


@cache
def version(python: Path) -> str:
    """As `3.13`, or `3.13t` of a free-threaded one, for which wheels are others."""
    show = "import sys; print('%d.%d' % sys.version_info[:2] + ('t' if 't' in sys.abiflags else ''))"
    return subprocess.run([python, "-I", "-c", show], check=True, capture_output=True, text=True).stdout.strip()


@cache
def folder(package: str, python: Path) -> Path | None:
    """Where this CPython is to import it from; None, after a word of why, if it cannot be had."""
    release = version(python)
    place = FOLDER / f"{package}-{release}"
    if (place / package).is_dir():
        return place
    print(f"table: installing {package} from PyPI", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary=:all:", "--implementation", "cp", "--python-version", release.rstrip("t"),
               *(["--abi", "cp" + release.replace(".", "")] if release.endswith("t") else []),
               "--root-user-action=ignore", "--target", str(place), package]
    # What is set for the programs of this machine is not meant for these.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(f"table: {package} could not be installed: {done.stdout.strip()}", flush=True)
        return None
    return place
