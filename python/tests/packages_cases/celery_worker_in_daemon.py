# title: a worker of celery in a daemon thread is in the middle of tasks that keep a log
# of: celery
# needs: celery
# journal: accepted in tasks.log
# seconds: 15
import threading

import celery

from support import Journal, daemon

app = celery.Celery("app", broker="memory://", backend="cache+memory://")
app.set_default()
app.conf.update(worker_hijack_root_logger=False, broker_transport_options={"polling_interval": 0.01},
                task_ignore_result=True)
journal, log = Journal("accepted"), open("tasks.log", "w")
busy = threading.Event()
lock = threading.Lock()


@app.task
def note(number: int) -> None:
    with lock:
        line = f"task {number}\n"
        log.write(line)
        journal.enter(line)
    if number == 20:
        busy.set()
    note.delay(number + 2)


worker = app.WorkController(pool="threads", concurrency=2, without_heartbeat=True, without_gossip=True,
                            without_mingle=True, loglevel="CRITICAL")
daemon(worker.start)
note.delay(0)
note.delay(1)
busy.wait()
