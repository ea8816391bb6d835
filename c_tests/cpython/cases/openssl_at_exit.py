# title: daemon threads are inside OpenSSL when the process ends, whose exit handlers would free what they use
# of: gh-114653
import ssl
import threading
import time


def work() -> None:
    while True:
        ssl.create_default_context()


for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
