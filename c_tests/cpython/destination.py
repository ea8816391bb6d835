"""What became of every byte that a program was told is accepted, seen from outside."""

import hashlib
from dataclasses import dataclass

from terminal import paint


@dataclass
class Destination:
    name: str
    accepted: bytes
    arrived: bytes
    unwritten: int  # as the report has it
    in_flight: int

    @property
    def missing(self) -> int:
        return len(self.accepted) - len(self.arrived)

    @property
    def reported(self) -> int:
        return self.unwritten + self.in_flight

    @property
    def wrong(self) -> str:
        """Why not every byte is accounted for; empty if it is. Of the bytes in a write that never returned
        any number may have arrived."""
        if not self.accepted.startswith(self.arrived):
            return "what arrived is not the beginning of what was accepted"
        if not self.unwritten <= self.missing <= self.reported:
            return f"{self.missing} bytes did not arrive, {self.reported} are reported"
        return ""

    @property
    def verdict(self) -> str:
        if self.wrong:
            return paint("1;31", f"LOST: {self.wrong}")
        return paint("32", "arrived or reported, to the byte" if self.missing else "every byte arrived")


def checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
