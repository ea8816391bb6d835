"""Programs that replace functions of Python's, as gevent, eventlet and libraries for tests do."""

# Each ends the program at once, or leads astray whoever asks it.
REPLACES = """
import _thread, select
def replaced(*_):
    os.write(2, b"a function that was replaced has been called\\n")
    os._exit(98)
for module, name in ((time, "sleep"), (select, "poll"), (select, "select"), (threading, "get_native_id")):
    setattr(module, name, replaced)
main = threading.main_thread()
threading._active[4711] = threading._active.pop(main._ident)
main._ident = 4711
for module in (threading, _thread):
    module.get_ident = lambda: 4711
stopped_at = time.monotonic()
time.monotonic = lambda: stopped_at
"""


def test_a_stuck_thread_is_named_all_the_same(run):
    code, out, err = run(
        """
        r, w = os.pipe()
        file = open(w, "wb")
        def work():
            file.write(b"x" * 200000)
        threading.Thread(target=work, name="writer", daemon=True).start()
        says("'writer'", "in write of descriptor %d" % w)
        """
        + REPLACES.replace("\n", "\n        "),
        ["--grace", "100ms"],
    )
    assert code == 120
    assert "is cut off: its lock is held by daemon thread 'writer', in work (" in err
    assert "in write of descriptor" in err


def test_a_thread_that_sleeps_does_not_keep_the_end(run):
    code, out, err = run(
        """
        import atexit
        never = threading.Event()
        threading.Thread(target=never.wait, daemon=True).start()
        open("/dev/null", "w").write("x")
        """
        + REPLACES.replace("\n", "\n        "),
        [],
    )
    assert (code, out, err) == (0, "", "")


def test_a_dump_has_the_main_thread_once(run):
    code, out, err = run(
        REPLACES
        + """
rtfinalize.dump()
"""
    )
    assert code == 0
    lines = err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("  thread 'MainThread', in ")
