# title: a daemon thread runs an asyncio loop with tasks, executor and a subprocess pipe while the process ends
# of: asyncio
import asyncio
import sys
import threading

from support import daemon

ready = threading.Event()


async def tick() -> None:
    while True:
        await asyncio.sleep(0)
        await asyncio.to_thread(len, b"work")
        print("tick", file=sys.stderr)
        ready.set()


async def main() -> None:
    reader, writer = await asyncio.open_connection(*address)
    await asyncio.gather(tick(), tick(), reader.read())


async def serve(started: threading.Event) -> None:
    global address
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    started.set()
    await server.serve_forever()


address = ("", 0)
started = threading.Event()
daemon(asyncio.run, serve(started))
started.wait()
daemon(asyncio.run, main())
ready.wait()
