# title: logging's QueueListener, never stopped, handles records while the process ends
# of: logging
# journal: accepted in out
import logging
import logging.handlers
import queue

from support import Journal

journal = Journal("accepted")


class Remembering(logging.StreamHandler):
    """Writes without a flush, as a handler over a slow target does."""

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.getMessage()}\n"
        self.stream.write(line)
        journal.enter(line)


records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
listener = logging.handlers.QueueListener(records, Remembering(open("out", "w")))
log = logging.getLogger()
log.addHandler(logging.handlers.QueueHandler(records))
log.setLevel(logging.INFO)
listener.start()
for number in range(20_000):
    log.info("record %d", number)
