"""Packages of another suite of Debian, by apt, on a machine of any suite.

apt is run with a configuration, lists and a cache of its own: the system's sources are read, to learn which mirror and
which key it uses, and never touched. No root is needed.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, TypeVar

# What apt needs from the system's configuration: the way to the network and how it checks dates. Its
# hooks, which work on the system's own cache, are left out.
WANTED_SETTINGS = re.compile(r"Acquire::(http|https|ftp|Check-|Retries|ForceIPv|AllowInsecure|Proxy)", re.I)

T = TypeVar("T")


class Refusal(Exception):
    """The text says what to do."""


@dataclass
class Mirror:
    uri: str
    signed_by: str
    suites: str
    components: str

    def has_debian(self) -> bool:
        """Whether this is an archive of the distribution itself, not its security or a vendor's one."""
        return "main" in self.components.split() and "security" not in self.suites + self.uri


def one_line_sources(text: str) -> Iterator[Mirror]:
    for line in text.splitlines():
        found = re.match(r"deb(?:-src)?\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)", line.strip())
        if found:
            options, uri, suite, components = found.groups()
            key = re.search(r"signed-by=(\S+)", options or "", re.I)
            yield Mirror(uri, key.group(1) if key else "", suite, components)


def paragraph_sources(text: str) -> Iterator[Mirror]:
    for paragraph in re.split(r"\n\s*\n", text):
        lines = "\n".join(line for line in paragraph.splitlines() if not line.startswith("#"))
        fields = {name.lower(): value.strip()
                  for name, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t]+.*)*)", lines, re.M)}
        if "uris" not in fields or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields["uris"].split():
            yield Mirror(uri, fields.get("signed-by", ""), fields.get("suites", ""), fields.get("components", ""))


def system_mirrors() -> Iterator[Mirror]:
    etc = Path("/etc/apt")
    for file in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if file.is_file() and file.suffix in (".list", ".sources"):
            parse = one_line_sources if file.suffix == ".list" else paragraph_sources
            yield from filter(Mirror.has_debian, parse(file.read_text(encoding="utf-8", errors="replace")))


@dataclass
class Apt:
    """apt for one suite, with all that it writes below a folder."""

    folder: Path
    kind: str  # deb or deb-src
    suite: str

    def by_one_of_the_mirrors(self, work: Callable[[], T]) -> T:
        """What the work returns with the first of the system's mirrors that it is done with."""
        if not shutil.which("apt-get") or not shutil.which("apt-config"):
            raise Refusal("it comes by apt-get, which is not on this machine")
        failures: list[str] = []
        for one in system_mirrors():
            self._configure(one)
            try:
                self.run("update", "-o", "APT::Update::Error-Mode=any")
                return work()
            except Refusal as refusal:
                failures.append(str(refusal))
        raise Refusal("\n".join(failures) or "no Debian mirror stands in /etc/apt/sources.list(.d)")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(["apt-get", "-q", *arguments], cwd=self.folder, text=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Refusal(f"apt-get {' '.join(arguments)} failed:\n{done.stdout.rstrip()}")
        return done.stdout

    def _configure(self, one: Mirror) -> None:
        folder = self.folder
        for below in ("lists/partial", "cache/archives/partial", "parts", "sources"):
            (folder / below).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        # A deb822 paragraph, because a key may stand in it as a block of text.
        key = f"Signed-By: {one.signed_by}\n" if one.signed_by else ""
        (folder / "sources" / "debian.sources").write_text(
            f"Types: {self.kind}\nURIs: {one.uri}\nSuites: {self.suite}\nComponents: main\n{key}", encoding="utf-8")
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        settings = [line for line in dump.splitlines() if WANTED_SETTINGS.match(line)]
        settings += [f'{name} "{value}";' for name, value in {
            "Dir::Etc::main": "/dev/null", "Dir::Etc::parts": folder / "parts",
            "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": folder / "sources",
            "Dir::State": folder, "Dir::State::lists": folder / "lists", "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "Acquire::Languages": "none", "APT::Get::List-Cleanup": "false",
        }.items()]
        (folder / "apt.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
