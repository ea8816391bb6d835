# title: sentry's transport thread sends events to a slow server as the program ends
# of: sentry-sdk
# needs: sentry-sdk
# journal: accepted in arrived
# seconds: 20
import gzip
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import sentry_sdk

from support import Journal, daemon

arrived = os.open("arrived", os.O_CREAT | os.O_WRONLY | os.O_APPEND)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        for line in body.splitlines():
            message = json.loads(line).get("message")
            if message:
                time.sleep(0.02)
                os.write(arrived, f"{message}\n".encode())
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
daemon(server.serve_forever)
sentry_sdk.init(dsn=f"http://key@127.0.0.1:{server.server_port}/1", shutdown_timeout=10)
journal = Journal("accepted")
ready = threading.Barrier(3)


def work(number: int) -> None:
    for count in range(10):
        line = f"thread {number} event {count}"
        sentry_sdk.capture_message(line)
        journal.enter(line + "\n")
    ready.wait()
    threading.Event().wait()


for number in range(2):
    daemon(work, number)
ready.wait()
