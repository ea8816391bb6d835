"""An environment for each Python, with the package in it as pip installs it from the wheels."""

import shutil
import subprocess
import sys
from pathlib import Path

from interpreters import TARGET, Interpreter, clean_environment
from debian import Refusal  # from where `interpreters` finds it

WHEELS = TARGET / "wheels"
ENVIRONMENTS = TARGET / "python" / "environments"
# An environment of a recent pip, which installs into all others: not every Python comes with one.
TOOLS = TARGET / "python" / "tools"


def _call(*command: "str | Path") -> None:
    done = subprocess.run(command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Refusal(f"{' '.join(map(str, command))} failed:\n{done.stdout.rstrip()}")


def made(python: Interpreter, more: str = "") -> Path:
    """The interpreter of the environment, of which there may be more than one. The wheel is installed anew each time."""
    place = ENVIRONMENTS / (python.name + more)
    executable = place / "bin" / "python"
    if not _is_of(place, python):
        shutil.rmtree(place, ignore_errors=True)
        _call(python.path, "-m", "venv", "--without-pip", place)
    install(executable, "--no-index", "--force-reinstall", "--find-links", WHEELS, "rtfinalize")
    return executable


def bare(name: str) -> Path:
    """One of the Python that calls this, without the package, for tools."""
    executable = TARGET / "python" / name / "bin" / "python"
    if not executable.exists():
        _call(sys.executable, "-m", "venv", "--without-pip", executable.parent.parent)
    return executable


def install(executable: Path, *what: "str | Path") -> None:
    _call(TOOLS / "bin" / "python", "-m", "pip", "--python", executable, "install", "--quiet",
          "--disable-pip-version-check", *what)


def _is_of(place: Path, python: Interpreter) -> bool:
    executable = place / "bin" / "python"
    return executable.exists() and executable.resolve() == python.path
