"""Colours, where stdout is a terminal."""

import sys


def paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


def bold(text: str) -> str:
    return paint("1", text)
