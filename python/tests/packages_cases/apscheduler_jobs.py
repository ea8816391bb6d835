# title: a scheduler of apscheduler starts jobs as fast as it can, and an exit callback shuts it down
# of: apscheduler, issue 985
# needs: apscheduler
# journal: accepted in jobs.log
# seconds: 15
import atexit
import threading
from datetime import datetime, timezone

from apscheduler.schedulers.background import BackgroundScheduler

from support import Journal

journal, log = Journal("accepted"), open("jobs.log", "w")
busy = threading.Event()
lock = threading.Lock()
number = 0


def job() -> None:
    global number
    with lock:
        number += 1
        line = f"job {number}\n"
        log.write(line)
        journal.enter(line)
    if number == 20:
        busy.set()


scheduler = BackgroundScheduler(timezone=timezone.utc)
for name in "abc":
    scheduler.add_job(job, "interval", seconds=0.005, id=name, next_run_time=datetime.now(timezone.utc))
atexit.register(scheduler.shutdown)
scheduler.start()
busy.wait()
