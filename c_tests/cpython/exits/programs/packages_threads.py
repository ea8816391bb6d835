"""Packages with threads and exit callbacks: loguru, tqdm, rich, sentry-sdk, watchdog."""

# %% loguru_to_stderr: loguru
# needs: loguru
# stderr: INFO .* - hello$
# normalise: date
from loguru import logger
logger.info("hello")

# %% loguru_enqueued_file: a file by loguru's own thread
# needs: loguru
# stdout: ^main$
from loguru import logger
logger.remove()
logger.add("app.log", enqueue=True, format="{message}")
for number in range(100):
    logger.info("record {}", number)
print("main")

# %% loguru_in_exit_callback: a record in an exit callback
# needs: loguru
import atexit
from loguru import logger
logger.remove()
logger.add("app.log", format="{message}")
atexit.register(logger.info, "at exit")

# %% loguru_catches: logger.catch and an exit code
# needs: loguru
# ends: 1
# stderr: ZeroDivisionError: division by zero
# normalise: date, thread, address
# replace: \(\d{3,}\) => (NUMBER)
import sys
from loguru import logger
@logger.catch(onerror=lambda _: sys.exit(1))
def fail():
    1 / 0
fail()

# %% loguru_compressed: a file that is compressed at the end
# needs: loguru
# ignore: app.*
# replace: app\..*\.gz => app.gz
from loguru import logger
logger.remove()
logger.add("app.log", compression="gz", format="{message}")
logger.info("one")

# %% tqdm_complete: a bar that reaches its end
# needs: tqdm
# stderr: 100%
# replace: \d+:\d\d|\d+\.\d+it/s|\?it/s => N
import tqdm
for _ in tqdm.tqdm(range(3), mininterval=1000):
    pass

# %% tqdm_left: a bar that is there at the end
# needs: tqdm
# stderr: 0%
# replace: \d+:\d\d|\d+\.\d+it/s|\?it/s => N
import tqdm
bar = tqdm.tqdm(total=3, mininterval=1000)
bar.update(1)

# %% tqdm_interrupted: an exception inside a bar
# needs: tqdm
# ends: 1
# stderr: ZeroDivisionError
# replace: \d+:\d\d|\d+\.\d+it/s|\?it/s => N
import tqdm
for number in tqdm.tqdm(range(3), mininterval=1000):
    1 / 0

# %% tqdm_monitor_thread: tqdm's monitor thread
# needs: tqdm
# stderr: %
# stdout: ^True$
# replace: \d+:\d\d|\d+\.\d+it/s|\?it/s => N
import tqdm
tqdm.tqdm.monitor_interval = 0.01
bar = tqdm.tqdm(range(2))
print(bar.monitor is not None)

# %% rich_print: rich through a pipe
# needs: rich
# stdout: hello
import rich
rich.print("[bold]hello[/bold]")

# %% rich_progress_left: a progress bar that nobody stops
# needs: rich
# terminal: yes
# set: COLUMNS=80
# set: TERM=xterm
# stdout: work
# replace: (?s)\A.*work.*\Z => bar
import rich.progress
progress = rich.progress.Progress()
progress.start()
progress.add_task("work", total=3)

# %% rich_traceback: an exception by rich.traceback
# needs: rich
# ends: 1
# set: COLUMNS=200
# stderr: ZeroDivisionError: division by zero
import rich.traceback
rich.traceback.install()
1 / 0

# %% rich_live_fails: an exception inside a live display
# needs: rich
# ends: 1
# stdout: status
# stderr: ^ZeroDivisionError
import rich.live
with rich.live.Live("status", refresh_per_second=1):
    1 / 0

# %% sentry_flushes_at_exit: sentry's exit callback and its worker thread
# needs: sentry-sdk
# stdout: ^sent told$
import sentry_sdk
from sentry_sdk.transport import Transport
class Printed(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.get_event():
                print("sent", item.get_event()["message"])
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Printed)
sentry_sdk.capture_message("told")

# %% sentry_uncaught_exception: sentry's excepthook
# needs: sentry-sdk
# ends: 1
# stdout: ^sent ValueError$
# stderr: ^ValueError: told$
import sentry_sdk
from sentry_sdk.transport import Transport
class Printed(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.get_event():
                print("sent", item.get_event()["exception"]["values"][0]["type"])
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Printed)
raise ValueError("told")

# %% sentry_server_refuses: sentry's own transport to a server that is not there
# needs: sentry-sdk
# stdout: ^main$
import logging, socket
import sentry_sdk
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
sentry_sdk.init(dsn=f"http://key@127.0.0.1:{port}/1", shutdown_timeout=0.2)
sentry_sdk.capture_message("told")
print("main")

# %% watchdog_stopped: an observer that is stopped
# needs: watchdog
# stdout: ^created file$
import logging, os, threading
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
logging.disable()
seen = threading.Event()
class Handler(FileSystemEventHandler):
    def on_created(self, event):
        print("created", os.path.basename(event.src_path))
        seen.set()
os.mkdir("watched")
observer = Observer()
observer.schedule(Handler(), "watched")
observer.start()
open("watched/file", "w").close()
seen.wait()
observer.stop()
observer.join()

# %% watchdog_left_running: an observer that nobody stops
# needs: watchdog
# stdout: ^main$
import os
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
os.mkdir("watched")
observer = Observer()
observer.schedule(FileSystemEventHandler(), "watched")
observer.start()
print("main")
