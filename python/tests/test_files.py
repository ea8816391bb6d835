"""Files at the end of a program: what is waited for, and for how long."""

import pytest

# A thread that waits in its file's lock: `waits()` returns once it does.
READS = """
reader, writer = os.pipe()
file = open(reader, "rb")
threading.Thread(target=lambda: file.read(1), name="reader", daemon=True).start()
says("'reader'", "in read of descriptor %d" % reader)
"""


def test_a_thread_that_reads_is_not_waited_for(run):
    # Nothing can be lost with it. The grace is longer than a test may take.
    assert run(READS + "print('done')", ["--grace", "600s"]) == (0, "done\n", "")


def test_a_socket_that_is_read_is_not_waited_for(run):
    code, out, err = run(
        """
        import socket
        here, there = socket.socketpair()
        file = here.makefile("rwb")
        threading.Thread(target=file.readline, name="reader", daemon=True).start()
        says("'reader'", "holds the lock of")
        print("done")
        """,
        ["--grace", "600s"],
    )
    assert (code, out, err) == (0, "done\n", "")


def test_each_file_is_found_once_also_where_the_collector_has_no_ages(run):
    # A free-threaded Python has none, with its lock switched on too.
    code, out, err = run(
        """
        from rtfinalize import _files
        files = [open("file", "w"), open("file")]
        found = _files.every()
        print(len(found) - len(set(map(id, found))), [file in found for file in files])
        for file in files:
            file.close()
        """,
        PYTHON_GIL="1",
    )
    assert (code, out, err) == (0, "0 [True, True]\n", "")


@pytest.mark.parametrize("options", [None, []], ids=["install", "runner"])
@pytest.mark.parametrize("more", ["", "import atexit; atexit.register(print)"], ids=["nothing to do", "a callback"])
def test_the_collector_is_as_the_program_had_it_at_pythons_own_end(run, more, options):
    code, out, err = run(
        """
        import gc
        rtfinalize.install()
        class Last:
            def __del__(self, write=os.write, is_enabled=gc.isenabled):
                write(1, b"enabled %d" % is_enabled())
        last = Last()
        """ + more, options,
    )
    assert (code, out.strip(), err) == (0, "enabled 1", "")
