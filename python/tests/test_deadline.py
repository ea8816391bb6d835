"""The deadline: what is said of what the end was waiting for."""


def test_names_the_thread_that_an_exit_callback_joins(run):
    code, out, err = run(
        """
        import atexit
        never = threading.Event()
        def work():
            never.wait()
        worker = threading.Thread(target=work, name="worker", daemon=True)
        worker.start()
        def stop():
            worker.join()
        atexit.register(stop)
        """,
        ["--deadline", "1s", "--report", "text"],
    )
    assert code == 120
    said = " ".join(err.split())
    assert "in stop (" in said and "waiting for daemon thread 'worker', in work (" in said


def test_names_the_worker_of_a_pool_that_a_daemon_thread_uses(run):
    code, out, err = run(
        """
        import concurrent.futures
        never, is_working = threading.Event(), threading.Event()
        def work():
            is_working.set()
            never.wait()
        def serve():
            concurrent.futures.ThreadPoolExecutor(thread_name_prefix="pool").submit(work)
        threading.Thread(target=serve, daemon=True).start()
        is_working.wait()
        """,
        ["--deadline", "1s", "--report", "text"],
    )
    assert code == 120
    said = " ".join(err.split())
    assert "waiting for daemon thread 'pool_0', in work (" in said and "working on work (" in said
