# title: forty daemon threads come back from select() again and again while the process ends
# of: gh-127893
import select
import socket
import threading

from support import daemon

ready = threading.Barrier(41)


def poll() -> None:
    ours, theirs = socket.socketpair()
    for count in range(10**9):
        if count == 5:
            ready.wait()
        select.select([ours], [], [], 0.0005)


for _ in range(40):
    daemon(poll)
ready.wait()
