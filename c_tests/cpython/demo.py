"""A program as many are: daemon threads that log, and one more that an atexit callback starts.

    demo.py TEXT…

Records of the text go to `audit.log`, which only the frame of a daemon thread refers to; to stdout, by
`logging`; and what is left of the text goes to stdout from the thread started at exit. Nobody reads stdout.

Each record that was accepted, which is to say its `write` has returned, is entered in `audit.log.accepted`
or `stdout.accepted` without a buffer: those say what must arrive.
"""

import atexit
import queue
import sys
import threading

from accepted import Accepted, wait_until_it_writes

rest = b""


def at_exit() -> None:
    sender = threading.Thread(target=send, name="sender", daemon=True)
    sender.start()
    wait_until_it_writes(sender, 1)


# Before logging registers its own, so that it is called after that: logging.shutdown flushes stdout, and
# would wait for the sender indefinitely.
atexit.register(at_exit)

import logging  # noqa: E402

AUDITED = 400  # lines
LOGGED = 120
ENOUGH = 512 * 1024
BLOCK = 700  # bytes at a time of the rest: far less than the buffer


on_stdout = Accepted("stdout.accepted")


class Handler(logging.StreamHandler):
    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        on_stdout.enter((self.format(record) + self.terminator).encode())


def audit(lines: "queue.Queue[str]") -> None:
    log = open("audit.log", "w", encoding="utf-8", newline="")
    accepted = Accepted("audit.log.accepted")
    while True:
        line = lines.get()
        log.write(line)
        accepted.enter(line.encode())
        lines.task_done()


def work(lines: "queue.Queue[str]") -> None:
    while True:
        line = lines.get()
        logging.info("%s", line.rstrip())
        lines.task_done()


def send() -> None:
    for start in range(0, len(rest), BLOCK):
        block = rest[start:start + BLOCK]
        sys.stdout.buffer.write(block)
        on_stdout.enter(block)


def main(texts: list[str]) -> None:
    global rest
    logging.basicConfig(level=logging.INFO, handlers=[Handler(sys.stdout)],
                        format="%(asctime)s %(threadName)s %(message)s")
    lines: list[str] = []
    for name in texts:
        with open(name, encoding="utf-8", errors="replace", newline="") as text:
            lines += text
    # The rest has to be more than a pipe holds.
    lines *= 1 + ENOUGH // len("".join(lines))
    to_audit: queue.Queue[str] = queue.Queue()
    to_log: queue.Queue[str] = queue.Queue()
    for line in lines[:AUDITED]:
        to_audit.put(line)
    for line in lines[:LOGGED]:
        to_log.put(line)
    threading.Thread(target=audit, args=(to_audit,), name="auditor", daemon=True).start()
    for number in range(3):
        threading.Thread(target=work, args=(to_log,), name=f"worker {number}", daemon=True).start()
    to_audit.join()
    to_log.join()
    rest = "".join(lines[LOGGED:]).encode()


main(sys.argv[1:])
