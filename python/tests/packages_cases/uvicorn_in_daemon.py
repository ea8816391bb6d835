# title: sys.exit(3) while uvicorn serves in a daemon thread, and the application keeps a log
# of: uvicorn
# needs: uvicorn
# exit: 3
# journal: accepted in access.log
# seconds: 15
import itertools
import socket
import sys
import threading
import urllib.request

import uvicorn

from support import Journal, daemon

log, journal = open("access.log", "w"), Journal("accepted")
busy = threading.Barrier(4)


async def app(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
    line = f"{scope['path']}\n"
    log.write(line)
    journal.enter(line)


def visit(number: int) -> None:
    for count in itertools.count():
        urllib.request.urlopen("http://%s:%d" % listening.getsockname() + f"/{number}/{count}").read()
        if count == 10:
            busy.wait()


listening = socket.create_server(("127.0.0.1", 0))
daemon(uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run, [listening])
for number in range(3):
    daemon(visit, number)
busy.wait()
sys.exit(3)
