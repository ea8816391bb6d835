"""Signals that come while the end is under way."""

import re
import signal
import time


def test_files_are_written_while_signals_rain(run, tmp_path):
    code, out, err = run(
        """
        import atexit
        def handler(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, handler)
        folder = os.path.dirname(os.path.abspath(__file__))
        files = [open(os.path.join(folder, "out%d" % number), "w") for number in range(300)]
        for number, file in enumerate(files):
            file.write("record %d" % number)
        never = threading.Event()
        threading.Thread(target=never.wait, daemon=True).start()
        # Callbacks are called in the reverse order: this is the last.
        atexit.register(signal.setitimer, signal.ITIMER_REAL, 0.0005, 0.0005)
        """,
        ["--end", "exit"],
    )
    assert code == 0, err
    assert [(tmp_path / ("out%d" % number)).read_text() for number in range(300)] == [
        "record %d" % number for number in range(300)
    ]


def test_a_signal_still_comes_to_a_program_that_waits_for_threads(start):
    program = start(
        """
        go_on = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: go_on.set())
        threading.Thread(target=go_on.wait).start()
        def tell():
            says("MainThread", "waiting for the other threads to end")
            # A signal that comes just before Python waits for a lock is handled once that wait is over.
            while not rtfinalize._where.sleeps_at(os.getpid()):
                time.sleep(0.001)
            print("ready", flush=True)
        threading.Thread(target=tell, daemon=True).start()
        """,
        [],
    )
    program.prints("ready")
    program.signal(signal.SIGTERM)
    assert program.end() == (0, "", "")


def test_an_interrupt_gives_up_the_file_that_is_flushed_and_no_other(start, tmp_path):
    program = start(
        """
        r, w = os.pipe()
        slow = open(w, "w", buffering=1 << 20)
        slow.write("x" * 100000)
        other = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "out"), "w")
        other.write("record")
        print("w is", w, flush=True)
        """,
        ["--dump-on", "SIGUSR1"],
    )
    descriptor = int(re.search("w is ([0-9]+)", program.prints("w is")).group(1))
    while True:
        program.signal(signal.SIGUSR1)
        if "flushing descriptor %d, in write of" % descriptor in program.complains("MainThread"):
            break
        time.sleep(0.001)
    program.signal(signal.SIGINT)
    code, out, err = program.end()
    assert (code, out) == (120, "")
    assert "rtfinalize: 'main': 34464 bytes of 'descriptor %d' are not written: interrupted\n" % descriptor in err
    assert (tmp_path / "out").read_text() == "record"
