# title: SIGTERM for a worker of celery in the middle of tasks that keep a log
# of: celery
# needs: celery
# journal: accepted in tasks.log
# seconds: 20
import os
import signal
import threading

import celery

from support import Journal

app = celery.Celery("app", broker="memory://", backend="cache+memory://")
app.conf.update(broker_transport_options={"polling_interval": 0.01}, task_ignore_result=True)
journal, log = Journal("accepted"), open("tasks.log", "w")
lock = threading.Lock()


@app.task
def note(number: int) -> None:
    with lock:
        line = f"task {number}\n"
        log.write(line)
        journal.enter(line)
    if number == 20:
        os.kill(os.getpid(), signal.SIGTERM)
    note.delay(number + 2)


note.delay(0)
note.delay(1)
app.worker_main(["worker", "--pool=threads", "--concurrency=2", "--loglevel=CRITICAL", "--without-heartbeat",
                 "--without-gossip", "--without-mingle"])
