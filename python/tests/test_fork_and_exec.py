"""`os.fork` and `os.exec*`: what is whose to write, and what a new program finds."""

import pytest

# What newer releases say of a fork beside a thread.
QUIET = ("-W", "ignore::DeprecationWarning")


@pytest.mark.parametrize("ends, code_of_child", [("pass", 0), ("sys.exit(4)", 4), ("os._exit(5)", 5)])
def test_a_forked_child_ends_as_without_the_package(same, tmp_path, ends, code_of_child):
    source = """
        shared = open("shared", "w")
        shared.write("of the parent\\n")
        shared.flush()
        child = os.fork()
        if not child:
            with open("closed", "w") as closed:
                closed.write("of the child\\n")
            shared.write("of the child\\n")
            %s
        else:
            print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
        """
    code, out, err = same(source % ends)
    assert (code, out, err) == (0, "%d\n" % code_of_child, "")
    assert (tmp_path / "closed").read_text() == "of the child\n"
    of_child = "" if "_exit" in ends and "sys" not in ends else "of the child\n"
    assert (tmp_path / "shared").read_text() == "of the parent\n" + of_child


@pytest.mark.parametrize("ends", ["pass", "sys.exit()", "os._exit(0)"])
def test_bytes_in_a_file_of_a_thread_that_was_not_copied_are_written_once(run, tmp_path, ends):
    code, out, err = run(
        """
        ready, go_on = threading.Event(), threading.Event()
        def work():
            file = open("file", "w")
            file.write("of the parent\\n")
            ready.set()
            go_on.wait()
        threading.Thread(target=work, daemon=True).start()
        ready.wait()
        child = os.fork()
        if not child:
            %s
        else:
            os.waitpid(child, 0)
        """ % ends, [], QUIET)
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "file").read_text() == "of the parent\n"


@pytest.mark.parametrize("forks_in", ["main", "thread"])
def test_a_child_whose_parent_had_locked_a_file_ends(run, forks_in):
    """The thread that has the lock is not copied: nobody can ever give it back."""
    code, out, err = run(
        """
        reader, writer = os.pipe()
        file = open(writer, "wb")
        threading.Thread(target=file.write, args=(b"x" * 1000000,), daemon=True, name="stuck").start()
        says("'stuck'", "in write of descriptor %%d" %% writer)
        codes = []
        def fork():
            child = os.fork()
            if not child:
                with open("child", "w") as own:
                    own.write("done\\n")
                return
            codes.append(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
            os.close(reader)
        if %r == "main":
            fork()
        else:
            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
        if codes:
            print(*codes)
        """ % forks_in, ["--grace", "100ms"], QUIET)
    assert (out, err.count("Fatal")) == ("0\n", 0)
    # Its reader is gone: what the thread had not written yet is lost.
    assert code in (0, 120)


def test_exec_is_as_without_the_package(same, tmp_path):
    """It ends no program: what files hold is lost unless it is flushed, and no callback is called."""
    source = """
        import atexit
        if "again" in sys.argv:
            handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
            print(len(os.listdir("/proc/self/task")), *handlers)
            sys.exit(7)
        atexit.register(print, "never")
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        flushed, lost = open("flushed", "w"), open("lost", "w")
        flushed.write("flushed\\n")
        flushed.flush()
        lost.write("lost\\n")
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, __file__, "again"])
        """
    code, out, err = same(source)
    assert (code, err) == (7, "")
    assert out.startswith("1 <built-in function default_int_handler> ")
    assert ((tmp_path / "flushed").read_text(), (tmp_path / "lost").read_text()) == ("flushed\n", "")


def test_after_exec_no_signal_dumps_and_no_thread_is_left(run):
    code, out, err = run(
        """
        if "again" in sys.argv:
            print(len(os.listdir("/proc/self/task")), signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)
            print(signal.pthread_sigmask(signal.SIG_BLOCK, []) == set())
            sys.exit(7)
        rtfinalize.install(dump_on="SIGUSR1")
        os.execv(sys.executable, [sys.executable, __file__, "again"])
        """
    )
    assert (code, out, err) == (7, "1 True\nTrue\n", "")
