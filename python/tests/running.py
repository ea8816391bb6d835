"""Runs a table in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

from interpreters import clean_environment


def run(*command: "str | Path") -> "tuple[int, int]":
    """Shows what a table prints, but its last line, and answers what that says."""
    process = subprocess.Popen([sys.executable, *map(str, command)], env=clean_environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    passed = failed = 0
    for line in process.stdout or ():
        counted = re.fullmatch(r"(\d+) passed, (\d+) failed\n", line)
        if counted:
            passed, failed = map(int, counted.groups())
        else:
            print(line, end="", flush=True)
    # A table that ends badly and says of no failure has failed in another way.
    return passed, failed or int(process.wait() != 0)
