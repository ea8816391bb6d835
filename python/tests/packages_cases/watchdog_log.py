# title: watchdog's observer logs events to a file, and nobody stops it
# of: watchdog
# needs: watchdog
# seconds: 15
# journal: accepted in events.log
import itertools
import os
import threading

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

from support import Journal, daemon

journal, log = Journal("accepted"), open("events.log", "w")
busy = threading.Event()


class Handler(FileSystemEventHandler):
    def on_created(self, event) -> None:
        line = f"created {os.path.basename(event.src_path)}\n"
        log.write(line)
        journal.enter(line)
        if line == "created 20\n":
            busy.set()


def create() -> None:
    for number in itertools.count():
        os.close(os.open(f"watched/{number}", os.O_CREAT | os.O_WRONLY))
        os.remove(f"watched/{number}")


os.mkdir("watched")
observer = Observer()
observer.schedule(Handler(), "watched")
observer.start()
daemon(create)
busy.wait()
