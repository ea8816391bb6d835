# title: loguru's worker thread writes to a stdout that nobody reads, and the exit callback waits for it
# of: loguru
# needs: loguru
# stdout: unread
# set: RTFINALIZE_DEADLINE=2s
# exit: 120
# says: in write of descriptor 1
# seconds: 15
import sys
import threading

from loguru import logger

from support import wait_until_blocked

logger.remove()
logger.add(sys.stdout, enqueue=True, format="{message}")
for _ in range(20):
    logger.info("x" * 4000)
wait_until_blocked(next(thread for thread in threading.enumerate() if thread.daemon), 1)
