# title: daemon threads download by httpx into files as the program ends
# of: httpx
# needs: httpx
# seconds: 15
# journal: accepted0 in file0
# journal: accepted1 in file1
# journal: accepted2 in file2
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from support import Journal, daemon

ready = threading.Barrier(4)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for number in itertools.count():
            self.wfile.write(b"line %d\n" % number)

    def log_message(self, *_: object) -> None:
        pass


def download(number: int) -> None:
    journal, file = Journal(f"accepted{number}"), open(f"file{number}", "w")
    with httpx.stream("GET", f"http://127.0.0.1:{server.server_port}", trust_env=False) as response:
        for count, line in enumerate(response.iter_lines()):
            file.write(f"{line}\n")
            journal.enter(f"{line}\n")
            if count == 50:
                ready.wait()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
daemon(server.serve_forever)
for number in range(3):
    daemon(download, number)
ready.wait()
