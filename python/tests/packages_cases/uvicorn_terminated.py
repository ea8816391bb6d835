# title: uvicorn with a handler for SIGTERM that exits, and a request that a thread of its pool works on
# of: uvicorn
# needs: uvicorn
# exit: 5
# journal: accepted in work.log
# seconds: 15
import asyncio
import itertools
import os
import signal
import socket
import sys
import threading
import urllib.request

import uvicorn

from support import Journal, daemon

signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
journal, log = Journal("accepted"), open("work.log", "w")
working = threading.Event()


def work(is_over: threading.Event) -> None:
    for number in itertools.count():
        line = f"step {number}\n"
        log.write(line)
        journal.enter(line)
        if number == 100:
            working.set()
        if is_over.wait(0.0001):
            return


async def app(scope, receive, send) -> None:
    is_over = threading.Event()
    try:
        await asyncio.get_running_loop().run_in_executor(None, work, is_over)
    finally:
        is_over.set()


def visit() -> None:
    daemon(urllib.request.urlopen, "http://127.0.0.1:%d" % listening.getsockname()[1])
    working.wait()
    os.kill(os.getpid(), signal.SIGTERM)


listening = socket.create_server(("127.0.0.1", 0))
daemon(visit)
uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)).run([listening])
