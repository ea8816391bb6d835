# title: thousands of records are still in loguru's queue, and daemon threads go on to log
# of: loguru
# needs: loguru
# journal: accepted in app.log
# seconds: 20
import threading

from loguru import logger

from support import Journal, daemon

logger.remove()
logger.add("app.log", enqueue=True, format="{message}")
ready = threading.Barrier(4)


def log(number: int) -> None:
    journal = Journal("accepted")
    for count in range(1000):
        line = f"thread {number} record {count}"
        logger.info(line)
        journal.enter(line + "\n")
    ready.wait()
    while True:
        logger.info("more")


for number in range(3):
    daemon(log, number)
ready.wait()
