# title: a QueueListener that prints is stopped by a daemon thread started in an atexit callback
# of: logging
import atexit
import logging
import logging.handlers
import queue
import sys

from support import daemon

records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
listener = logging.handlers.QueueListener(records, logging.StreamHandler(sys.stderr))
log = logging.getLogger()
log.addHandler(logging.handlers.QueueHandler(records))
log.setLevel(logging.INFO)
listener.start()
atexit.register(lambda: daemon(listener.stop))
for number in range(3_000):
    log.info("record %d", number)
