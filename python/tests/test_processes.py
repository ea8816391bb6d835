"""`multiprocessing`: the children of each start method end by the settings of their parent."""

import json
import re
import sysconfig
import pytest

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
METHODS = ("fork", "spawn", "forkserver")

# A child is made anew of this in two of the methods, so all that is the parent's alone comes after `if`.
HEAD = """
import multiprocessing
context = multiprocessing.get_context(%r)
"""


def program(method, child, parent):
    return "%s\n%s\nif __name__ == '__main__':\n    %s\n" % (HEAD % method, child, parent.strip().replace("\n", "\n    "))


def reports(folder):
    return sorted(path.name for path in folder.glob("*.json"))


# Only a frame of the thread refers to the file.
LEAVES_A_FILE = """
def write(ready):
    file = open("of-a-thread", "w")
    file.write("to the last byte\\n")
    ready.set()
    threading.Event().wait()
def work():
    ready = threading.Event()
    threading.Thread(target=write, args=(ready,), daemon=True).start()
    ready.wait()
    print(os.getpid(), flush=True)
    sys.exit(3)
"""
STARTS = """
child = context.Process(target=work)
child.start()
child.join()
print(child.exitcode)
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("asked", ("run", "install"))
def test_a_child_of_each_method_ends_as_its_parent_does(run, tmp_path, method, asked):
    if asked == "run":
        parent, options = STARTS, ["--report", "json:end.json"]
    else:
        parent, options = "rtfinalize.install(report='json:end.json')" + STARTS, None
    code, out, err = run(program(method, LEAVES_A_FILE, parent), options)
    child, exitcode = out.split()
    assert (code, exitcode, err) == (0, "3", "")
    assert (tmp_path / "of-a-thread").read_text() == "to the last byte\n"
    assert reports(tmp_path) == ["end-%s.json" % child, "end.json"]
    for name in reports(tmp_path):
        assert json.loads((tmp_path / name).read_text())["missing_bytes"] == 0


@pytest.mark.parametrize("method", METHODS)
def test_install_after_the_import_of_multiprocessing_is_in_time(run, tmp_path, method):
    code, out, err = run(program(method, LEAVES_A_FILE, "import multiprocessing.queues\nrtfinalize.install(report='json:%p.json')" + STARTS))
    assert (code, err) == (0, "")
    assert len(reports(tmp_path)) == 2


@pytest.mark.parametrize("method", METHODS)
def test_the_deadline_holds_for_a_child(run, method):
    child = """
def forever():
    threading.Event().wait()
def work():
    threading.Thread(target=forever, name="endless").start()
"""
    code, out, err = run(program(method, child, STARTS), ["--deadline", "1s"])
    assert (code, out) == (0, "120\n")
    assert "thread 'endless', in forever (" in err


@pytest.mark.parametrize("method", METHODS)
def test_the_deadline_holds_for_what_a_child_has_queued(run, method):
    """Until 3.12 multiprocessing waits for it first of all."""
    child = """
queue = None
def work(queue):
    queue.put("x" * 1000000)
"""
    parent = "queue = context.Queue()" + STARTS.replace("target=work", "target=work, args=(queue,)")
    parent += "queue.cancel_join_thread()\n"
    code, out, err = run(program(method, child, parent), ["--deadline", "1s"])
    assert (code, out) == (0, "120\n"), err


@pytest.mark.parametrize("method", METHODS)
def test_a_child_ends_although_a_thread_has_the_lock_of_a_file(run, method):
    child = """
def write(file):
    file.write(b"x" * 1000000)
    file.flush()
def work():
    reader, writer = os.pipe()
    file = open(writer, "wb")
    threading.Thread(target=write, args=(file,), daemon=True, name="stuck").start()
    says("'stuck'", "in write of descriptor %d" % writer)
"""
    code, out, err = run(program(method, child, STARTS), ["--grace", "100ms"])
    assert (code, out) == (0, "120\n")
    assert re.search(r"descriptor \d+ is cut off: its lock is held by daemon thread 'stuck', in write \(", err)


@pytest.mark.parametrize("method", METHODS)
def test_a_text_says_which_child_it_is_of(run, method):
    code, out, err = run(program(method, LEAVES_A_FILE, STARTS), ["--report", "text"])
    child = out.split()[0]
    assert re.findall(r"^process .*\nmain: finalized|^main: finalized", err, re.M) == [
        "process %s\nmain: finalized" % child, "main: finalized"
    ]


def test_children_of_children_and_workers_of_a_pool_have_reports(run, tmp_path):
    child = """
def last():
    print(os.getpid(), flush=True)
def work():
    child = multiprocessing.get_context("spawn").Process(target=last)
    child.start()
    child.join()
    print(os.getpid(), flush=True)
def same(number):
    print(os.getpid(), flush=True)
    return number
"""
    parent = STARTS + """
with_workers = multiprocessing.get_context("fork").Pool(1)
with_workers.map(same, [1])
with_workers.close()
with_workers.join()
"""
    code, out, err = run(program("spawn", child, parent), ["--report", "json:end.json"])
    last, first, exitcode, worker = out.split()
    assert (code, exitcode, err) == (0, "0", "")
    assert reports(tmp_path) == sorted(["end.json"] + ["end-%s.json" % one for one in (last, first, worker)])


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_that_nobody_closes_ends_as_without_the_package(run, method):
    # What newer releases say of a fork beside a thread has a process number in it.
    flags = ("-W", "ignore::DeprecationWarning")
    source = program(method, "", "pool = context.Pool(2)\nprint(pool.map(abs, [-1, -2]))")
    for options in (None, []):
        code, out, err = run(source, options, flags)
        assert (code, out) == (0, "[1, 2]\n")
        # A free-threaded Python clears the pool at a time of its own, and may complain of that.
        assert IS_FREE_THREADED or err == ""


@pytest.mark.parametrize("method", METHODS)
def test_exit_callbacks_of_parent_and_child_are_called_as_without_the_package(same, method):
    child = """
import atexit
def work():
    atexit.register(os.write, 1, b"registered in the child\\n")
"""
    code, out, err = same(program(method, child, "atexit.register(os.write, 1, b'of the parent\\n')" + STARTS))
    assert (code, err) == (0, "")
    assert out.count("of the parent") == 1


@pytest.mark.parametrize("method", METHODS)
def test_exit_codes_and_tracebacks_of_children_stay(same, method):
    child = """
def leave():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.exit("a text")
def fail():
    raise ValueError("of the child")
"""
    parent = """
for target in leave, fail:
    child = context.Process(target=target, name=target.__name__)
    child.start()
    child.join()
    print(child.exitcode, flush=True)
"""
    code, out, err = same(program(method, child, parent))
    assert (code, out) == (0, "1\n1\n")
    assert "a text\nProcess fail:\nTraceback (most recent call last):\n" in err


def test_each_forked_child_has_a_report_of_its_own(run, tmp_path):
    code, out, err = run(
        """
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            print(child)
        """, ["--report", "json:end.json"])
    assert (code, err) == (0, "")
    assert reports(tmp_path) == ["end-%s.json" % out.strip(), "end.json"]
