# title: sentry's transport thread waits for a server that does not answer; its exit callback says so, and gives up
# of: sentry-sdk
# needs: sentry-sdk
# says: Sentry is attempting to send
# seconds: 15
import socket

import sentry_sdk

from support import daemon

server = socket.create_server(("127.0.0.1", 0))
sentry_sdk.init(dsn=f"http://key@127.0.0.1:{server.getsockname()[1]}/1", shutdown_timeout=0.5)
for number in range(5):
    sentry_sdk.capture_message(f"event {number}")
connection, _ = server.accept()
connection.recv(1)
