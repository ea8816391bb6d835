# title: an error reporter's daemon worker sends to a server that does not answer; atexit flushes with a limit
# of: Sentry's transport
import atexit
import queue
import socket
import sys
import threading

from support import daemon


class Transport:
    """A worker thread that sends events one by one, and at exit waits a little for the rest."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.events: queue.Queue[bytes] = queue.Queue()
        self.address = address
        self.sending = threading.Event()
        daemon(self.work, name="transport")
        atexit.register(self.flush, 0.3)

    def work(self) -> None:
        while True:
            event = self.events.get()
            with socket.create_connection(self.address) as connection:
                connection.sendall(event)
                self.sending.set()
                connection.recv(1)
                print("sent", file=sys.stderr)
            self.events.task_done()

    def flush(self, seconds: float) -> None:
        print(f"sending {self.events.unfinished_tasks} events", file=sys.stderr)
        with self.events.all_tasks_done:
            self.events.all_tasks_done.wait_for(lambda: not self.events.unfinished_tasks, seconds)


server = socket.create_server(("127.0.0.1", 0))
transport = Transport(server.getsockname())
for number in range(20):
    transport.events.put(b"event %d" % number)
transport.sending.wait()
