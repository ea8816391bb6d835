# title: daemon threads record what streams of grpc bring, and the program ends in the middle of them
# of: grpcio
# needs: grpcio
# journal: accepted0 in received0
# journal: accepted1 in received1
# seconds: 15
import itertools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from support import Journal, daemon


def count(request: bytes, context: grpc.ServicerContext):
    for number in itertools.count():
        yield b"message %d\n" % number


def serve() -> None:
    handlers = {"count": grpc.unary_stream_rpc_method_handler(count)}
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def receive(number: int, port: int, ready: threading.Barrier) -> None:
    journal, file = Journal(f"accepted{number}"), open(f"received{number}", "w")
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    for at, message in enumerate(channel.unary_stream("/test/count")(b"")):
        line = message.decode()
        file.write(line)
        journal.enter(line)
        if at == 50:
            ready.wait()


def main() -> None:
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE)
    port, ready = int(server.stdout.readline()), threading.Barrier(3)
    for number in range(2):
        daemon(receive, number, port, ready)
    ready.wait()


if sys.argv[1:] == ["serve"]:
    serve()
else:
    main()
