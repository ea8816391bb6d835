# title: SIGTERM for a stdio server of a model-context protocol, whose thread reads an idle stdin
# of: mcp, stdio_server
# needs: mcp
# journal: accepted in audit.log
# set: RTFINALIZE_DEADLINE=2s
# exit: 120
# says: AnyIO worker thread.*in read of descriptor
# seconds: 15
import json
import os
import signal
import sys

from mcp.server.fastmcp import FastMCP

from support import Journal, daemon

# What a client sends, and then nothing more, on a pipe that it keeps open.
reader, session = os.pipe()
os.dup2(reader, 0)
os.close(reader)
answers, writer = os.pipe()
os.dup2(writer, 1)
os.close(writer)
server = FastMCP("example")
audit, journal = open("audit.log", "w"), Journal("accepted")


@server.tool()
def note(text: str) -> str:
    audit.write(text + "\n")
    journal.enter(text + "\n")
    return "noted"


def send(**message: object) -> None:
    os.write(session, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def be_client() -> None:
    lines = open(answers, "rb")
    send(id=0, method="initialize", params={"protocolVersion": "2025-06-18", "capabilities": {},
                                            "clientInfo": {"name": "client", "version": "1"}})
    lines.readline()
    send(method="notifications/initialized")
    for number in range(1, 20):
        send(id=number, method="tools/call", params={"name": "note", "arguments": {"text": f"call {number}"}})
        lines.readline()
    os.kill(os.getpid(), signal.SIGTERM)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
daemon(be_client)
server.run("stdio")
