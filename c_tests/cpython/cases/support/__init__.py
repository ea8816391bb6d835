"""What several cases wait for."""

from __future__ import annotations

import os
import threading
import time


def wait_until_blocked(thread: threading.Thread, descriptor: int) -> None:
    """Until the thread sits in a system call whose first argument is this descriptor. A wait for a lock has
    an address there."""
    while True:
        with open(f"/proc/self/task/{thread.native_id}/syscall") as call:
            fields = call.read().split()
        if len(fields) > 2 and int(fields[1], 16) == descriptor:
            return
        time.sleep(0.001)


def daemon(target, *arguments: object, name: str | None = None) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


class Journal:
    """Lines that were accepted, entered one by one without a buffer."""

    def __init__(self, name: str) -> None:
        self.descriptor = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def enter(self, line: str) -> None:
        os.write(self.descriptor, line.encode())
