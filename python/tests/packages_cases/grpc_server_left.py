# title: a server of grpc sends an endless stream to a client in a daemon thread, and its pool is waited for
# of: grpcio
# needs: grpcio
# set: RTFINALIZE_DEADLINE=2s
# says: waiting for daemon thread 'ThreadPoolExecutor-0_0', in .*, working on 
# exit: 120
# journal: accepted in received
# seconds: 15
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from support import Journal, daemon

received = threading.Event()


def count(request: bytes, context: grpc.ServicerContext):
    for number in itertools.count():
        yield b"message %d\n" % number


def receive() -> None:
    journal, file = Journal("accepted"), open("received", "w")
    for message in grpc.insecure_channel(f"127.0.0.1:{port}").unary_stream("/test/count")(b""):
        line = message.decode()
        file.write(line)
        journal.enter(line)
        received.set()


handlers = {"count": grpc.unary_stream_rpc_method_handler(count)}
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
daemon(receive)
received.wait()
