"""`logging`: each record that a handler has accepted is in the file, whole."""

import re


def test_handlers_that_keep_records_write_them_before_files_are_flushed(same, tmp_path):
    source = """
        import logging, logging.handlers, queue
        class Kept(logging.FileHandler):
            "Without a flush after each record."
            def flush(self):
                pass
        file = Kept("log", "w")
        memory = logging.handlers.MemoryHandler(1000, logging.CRITICAL, file)
        logging.root.addHandler(memory)
        for number in range(100):
            logging.warning("%d", number)
        """
    assert same(source) == (0, "", "")
    assert (tmp_path / "log").read_text() == "".join("%d\n" % number for number in range(100))


def test_what_a_listener_has_handled_is_written(run, tmp_path):
    """Its thread is a daemon, and nobody calls `stop`."""
    code, out, err = run(
        """
        import logging, logging.handlers, queue
        handled = threading.Event()
        class Kept(logging.FileHandler):
            def flush(self):
                pass
            def emit(self, record):
                super().emit(record)
                if record.getMessage() == "99":
                    handled.set()
        records = queue.Queue()
        logging.root.addHandler(logging.handlers.QueueHandler(records))
        listener = logging.handlers.QueueListener(records, Kept("log"))
        listener.start()
        for number in range(100):
            logging.warning("%d", number)
        handled.wait()
        """,
        [],
    )
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "log").read_text() == "".join("%d\n" % number for number in range(100))


def test_records_of_daemon_threads_that_log_to_the_end_are_whole(run, tmp_path):
    """Each thread notes the last record of its own that was accepted, where the kernel keeps it."""
    code, out, err = run(
        """
        import logging, mmap, struct
        logger = logging.getLogger()
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.FileHandler("log"))
        with open("accepted", "wb") as file:
            file.write(bytes(32))
        accepted = mmap.mmap(os.open("accepted", os.O_RDWR), 32)
        begun = threading.Barrier(5)
        def log(who):
            number = 0
            while True:
                number += 1
                logger.info("%d %d %s", who, number, "x" * 100)
                struct.pack_into("=q", accepted, 8 * who, number)
                if number == 20:
                    begun.wait()
        for who in range(4):
            threading.Thread(target=log, args=(who,), daemon=True).start()
        begun.wait()
        """,
        [],
    )
    assert (code, out, err) == (0, "", "")
    log = (tmp_path / "log").read_text()
    assert log.endswith("\n")
    records = [re.fullmatch(r"(\d) (\d+) x{100}", line) for line in log.splitlines()]
    assert all(records)
    accepted = (tmp_path / "accepted").read_bytes()
    for who in range(4):
        numbers = [int(record.group(2)) for record in records if int(record.group(1)) == who]
        last = int.from_bytes(accepted[8 * who : 8 * who + 8], "little")
        # The last one may have been written, and its thread stopped before it could say so.
        assert last >= 20 and numbers in (list(range(1, last + 1)), list(range(1, last + 2)))
