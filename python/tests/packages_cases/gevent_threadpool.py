# title: threads of gevent's pool write files, and greenlets wait for them, as a monkey-patched program ends
# of: gevent
# needs: gevent
# seconds: 15
# journal: accepted0 in written0
# journal: accepted1 in written1
from gevent import monkey

monkey.patch_all()
import itertools

import gevent
import gevent.event
import gevent.threadpool

from support import Journal

pool = gevent.threadpool.ThreadPool(2)
hub = gevent.get_hub()


def write(number: int, is_busy) -> None:
    journal, file = Journal(f"accepted{number}"), open(f"written{number}", "w")
    for count in itertools.count():
        line = f"line {count}\n"
        file.write(line)
        journal.enter(line)
        if count == 50:
            hub.loop.run_callback_threadsafe(is_busy.set)


busy = [gevent.event.Event() for _ in range(2)]
for number, is_busy in enumerate(busy):
    gevent.spawn(pool.apply, write, (number, is_busy))
gevent.wait(busy)
