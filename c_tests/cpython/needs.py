"""Packages from PyPI that cases need: wheels for the CPython that is built, each installed once."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "target" / "cpython" / "case-packages"


@cache
def folder(package: str, version: str) -> Path | None:
    """Where it is to be imported from; None, after a word of why, if it cannot be had."""
    place = FOLDER / f"{package}-{version}"
    if (place / package).is_dir():
        return place
    print(f"table: installing {package} from PyPI", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary=:all:", "--implementation", "cp", "--python-version", version,
               "--root-user-action=ignore", "--target", str(place), package]
    # What is set for the programs of this machine is not meant for these.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(f"table: {package} could not be installed: {done.stdout.strip()}", flush=True)
        return None
    return place
