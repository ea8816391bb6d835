# title: a data loader of worker processes, with a daemon thread that takes their batches, is left half-way
# of: torch.utils.data.DataLoader
# journal: accepted in batches
# seconds: 15
import itertools
import multiprocessing
import queue
import threading

from support import Journal, daemon


def work(indices, batches) -> None:
    for index in iter(indices.get, None):
        batches.put((index, b"x" * 100_000))


class Loader:
    """Each worker has a queue of what to load; all put it in one, which a thread empties into one in memory."""

    def __init__(self, context, workers: int) -> None:
        self.batches = context.Queue()
        self.indices = [context.Queue() for _ in range(workers)]
        self.workers = [context.Process(target=work, args=(queue, self.batches), daemon=True) for queue in self.indices]
        for worker in self.workers:
            worker.start()
        self.pinned: "queue.Queue[tuple[int, bytes]]" = queue.Queue(4)
        daemon(self.pin)

    def pin(self) -> None:
        while True:
            self.pinned.put(self.batches.get())

    def __iter__(self):
        for index in range(2 * len(self.workers)):
            self.indices[index % len(self.workers)].put(index)
        for index in itertools.count(2 * len(self.workers)):
            yield self.pinned.get()
            self.indices[index % len(self.workers)].put(index)


def train(loader: Loader, half: threading.Event) -> None:
    journal, file = Journal("accepted"), open("batches", "w")
    for count, (index, batch) in enumerate(loader):
        line = f"batch {index} of {len(batch)} bytes\n"
        file.write(line)
        journal.enter(line)
        if count == 20:
            half.set()


if __name__ == "__main__":
    half = threading.Event()
    daemon(train, Loader(multiprocessing.get_context(), 2), half)
    half.wait()
