"""Signals: a program ends by them as it does without the package. Each is sent by the program itself, at a known place."""

import signal
import pytest

BESIDE = "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("beside", ["", BESIDE])
def test_a_signal_that_nobody_handles_ends_the_program_by_itself(same, number, beside):
    source = "\nfile = open('file', 'w')\nfile.write('x')\nsignal.raise_signal(%d)\nsignal.pause()\n" % number
    code, out, err = same(beside + source)
    assert code == -number
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_decides(same, number):
    source = BESIDE + """
def handler(number, frame):
    sys.exit(number + 1)
signal.signal(%d, handler)
signal.raise_signal(%d)
"""
    assert same(source % (number, number)) == (number + 1, "", "")


@pytest.mark.parametrize("handles", [False, True])
def test_an_interrupt_while_threads_are_waited_for(same, handles):
    source = """
handled = threading.Event()
def handler(number, frame):
    os.write(1, b"handled\\n")
    handled.set()
if %r:
    signal.signal(signal.SIGINT, handler)
def work():
    wait_for_shutdown()
    os.kill(os.getpid(), signal.SIGINT)
    handled.wait()
import atexit
atexit.register(os.write, 1, b"callback\\n")
threading.Thread(target=work).start()
""" % handles
    code, out, err = same(source)
    if handles:
        assert (code, out, err) == (0, "handled\ncallback\n", "")
    else:
        assert (code, out) == (0, "callback\n")
        assert "KeyboardInterrupt" in err


@pytest.mark.parametrize("beside", ["", BESIDE])
def test_interrupts_in_exit_callbacks(same, beside):
    source = beside + """
import atexit
def interrupt():
    signal.raise_signal(signal.SIGINT)
    signal.pause()
atexit.register(os.write, 1, b"last\\n")
atexit.register(interrupt)
atexit.register(interrupt)
"""
    code, out, err = same(source)
    assert (code, out) == (0, "last\n")
    assert err.count("KeyboardInterrupt") >= 2


@pytest.mark.parametrize("setting", ["signal.SIG_IGN", "lambda *_: os.write(1, b'handled\\n')"])
def test_a_handler_stays_for_exit_callbacks(same, setting):
    source = BESIDE + """
import atexit
signal.signal(signal.SIGINT, %s)
def interrupt():
    signal.raise_signal(signal.SIGINT)
    return None
atexit.register(interrupt)
""" % setting
    assert same(source) == (0, "" if "IGN" in setting else "handled\n", "")


def test_a_deadline_interrupts_as_ctrl_c_does_and_says_what(run):
    source = """
import atexit
def wait_for_long():
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        os.write(1, b"interrupted\\n")
atexit.register(wait_for_long)
"""
    code, out, err = run(source, ["--deadline", "500ms"])
    assert (code, out) == (120, "interrupted\n")
    assert "rtfinalize: 'main': cut short at the deadline: an exit callback, in wait_for_long (" in err
