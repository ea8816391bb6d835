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


# A native thread, of libc's timers, that calls back; ctypes makes what it calls.
NATIVE = """
import ctypes
libc = ctypes.CDLL(None)
KIND = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def start(function):
    "Calls the function on a thread that Python did not start."
    callback, thread = KIND(function), ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, callback, None)
    kept.append(callback)
    return thread
kept = []
"""


def test_the_end_waits_for_a_call_of_a_pinned_callback(run):
    code, out, err = run(NATIVE + """
rtfinalize.install()
entered, ending = threading.Event(), threading.Event()
@rtfinalize.pin
def on_frame(_):
    entered.set()
    ending.wait()
    print("to its end", flush=True)
start(on_frame)
entered.wait()
says("  callback 'on_frame' runs, on_frame (")
def end():
    says(" is ending:")
    ending.set()
threading.Thread(target=end, daemon=True).start()
""")
    assert (code, out, err) == (0, "to its end\n", "")


def test_a_pinned_callback_that_comes_late_answers_so_and_is_not_called(run):
    code, out, err = run(NATIVE + """
import atexit
rtfinalize.install()
called = []
pinned = rtfinalize.pin(lambda _: called.append(1), name="late", late=7)
answers = []
def end():
    # As a native library's function does that ends its thread.
    thread = start(lambda _: answers.append(pinned(None)) or 0)
    libc.pthread_join(thread, None)
    print(answers, called)
    pinned(None)
    print(called)
atexit.register(end)
""")
    assert (code, out, err) == (0, "[7] []\n[1]\n", "")


def test_what_a_pinned_callback_raises_comes_through_and_its_guard_is_closed(run):
    code, out, err = run(
        """
        rtfinalize.install()
        @rtfinalize.pin
        def fails(number, more=0):
            "Its text."
            return 10 // (number + more)
        print(fails(1, more=4), fails.__name__, fails.__doc__)
        try:
            fails(0)
        except ZeroDivisionError:
            print("raised", "callback 'fails" in said())
        """
    )
    assert (code, out, err) == (0, "2 fails Its text.\nraised False\n", "")
