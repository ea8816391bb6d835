# title: a QueueListener that prints is stopped by a daemon thread started in an atexit callback
# of: logging
# stock: always
# stdout: unread
# exit: 0 or 120
# set: RTFINALIZE_DEADLINE=1s
import atexit
import logging
import logging.handlers
import queue
import sys

from support import daemon, wait_until_blocked

records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
listener = logging.handlers.QueueListener(records, logging.StreamHandler(sys.stdout))
log = logging.getLogger()
log.addHandler(logging.handlers.QueueHandler(records))
log.setLevel(logging.INFO)
# CPython has this thread as a daemon.
listener.start()
thread = listener._thread


def stop() -> None:
    for number in range(100):
        log.info("record %d %s", number, "." * 1000)
    daemon(listener.stop)
    wait_until_blocked(thread, 1)
    # It holds its handler's lock, for which logging's own callback, the next one, waits without limit.


atexit.register(stop)
