"""`rtfinalize.Guard`: the end waits for what Python does not see."""


def test_the_end_waits_for_a_guard(run):
    code, out, err = run(
        """
        rtfinalize.install()
        guard = rtfinalize.Guard("camera")
        ending = threading.Event()
        def native():
            ending.wait()
            print("still here", flush=True)
            guard.close()
            guard.close()
        threading.Thread(target=native, daemon=True).start()
        says("  guard 'camera' is open, opened in <module> (")
        threading.Timer(0.05, ending.set).start()
        """
    )
    assert (code, out, err) == (0, "still here\n", "")


def test_a_deadline_ends_the_wait(run):
    code, out, err = run("guard = rtfinalize.Guard('camera')", ["--deadline", "1s", "--report", "text"])
    assert "guard 'camera'" in err


def test_none_is_opened_once_the_end_has_begun(run):
    code, out, err = run(
        """
        rtfinalize.install()
        def late():
            try:
                rtfinalize.Guard("late")
            except RuntimeError as error:
                print(error)
        threading.Thread(target=lambda: (threading.main_thread().join(), late())).start()
        """
    )
    assert (code, err) == (0, "")
    assert out.startswith("the runtime is finalizing")


def test_with(run):
    code, out, err = run(
        """
        with rtfinalize.Guard("camera") as guard:
            print(guard.is_open, "guard 'camera' is open" in said())
        print(guard.is_open, "guard" in said())
        """
    )
    assert (code, out, err) == (0, "True True\nFalse False\n", "")
