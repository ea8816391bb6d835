# title: uvicorn is interrupted in the middle of a response, and a daemon thread keeps the access log
# of: uvicorn
# needs: uvicorn
# exit: SIGINT
# journal: accepted in access.log
# seconds: 15
import asyncio
import http.client
import itertools
import os
import queue
import signal
import socket

import uvicorn

from support import Journal, daemon

parts: "queue.Queue[str]" = queue.Queue()


def keep_log() -> None:
    journal, log = Journal("accepted"), open("access.log", "w")
    while True:
        line = parts.get()
        log.write(line)
        journal.enter(line)


async def app(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in itertools.count():
        parts.put(f"{scope['path']} part {number}\n")
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await asyncio.sleep(0.001)


def visit() -> None:
    connection = http.client.HTTPConnection(*listening.getsockname())
    connection.request("GET", "/endless")
    response = connection.getresponse()
    response.read(400)
    os.kill(os.getpid(), signal.SIGINT)
    try:
        while response.read(4096):
            pass
    except http.client.HTTPException:
        pass


listening = socket.create_server(("127.0.0.1", 0))
daemon(keep_log)
daemon(visit)
uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)).run([listening])
