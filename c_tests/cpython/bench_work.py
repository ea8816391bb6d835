"""What `bench` measures inside one Python, by pyperf: one piece of work a process.

    bench_work.py WORK [options of pyperf]
"""

import sys
import threading

import pyperf

WRITE = ("file = open('/dev/null', 'wb'); write = file.write; record = b'0123456789abcdef'", "write(record)")
READ = ("file = open('/dev/zero', 'rb'); read = file.read", "read(16)")


def switch(loops: int) -> float:
    """Two threads hand over to each other and back."""
    mine, others = threading.Lock(), threading.Lock()
    mine.acquire()
    others.acquire()

    def other() -> None:
        for _ in range(loops):
            others.acquire()
            mine.release()

    thread = threading.Thread(target=other)
    thread.start()
    start = pyperf.perf_counter()
    for _ in range(loops):
        others.release()
        mine.acquire()
    seconds = pyperf.perf_counter() - start
    thread.join()
    return seconds


def main() -> None:
    runner = pyperf.Runner(add_cmdline_args=lambda command, asked: command.append(asked.work))
    runner.argparser.add_argument("work")
    work = runner.parse_args().work
    if work == "write":
        runner.timeit(work, WRITE[1], setup=WRITE[0], duplicate=20)
    elif work == "read":
        runner.timeit(work, READ[1], setup=READ[0], duplicate=20)
    elif work == "switch":
        runner.bench_time_func(work, switch)
    else:
        import bench_native
        runner.bench_time_func(work, getattr(bench_native, work))


if __name__ == "__main__":
    sys.exit(main())
