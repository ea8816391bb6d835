"""The page of a program in trouble at its end: what it says first, a lane for each thread, and the fate of every byte."""

import html
import json
import re
import shutil
import subprocess

import pytest

# How long a browser may take to start, on a busy machine.
BOUND = 120

# The parts of a troubled end: a thread that is waited for, one that runs on, one that sits in a write with the lock of its
# file, a callback that takes long, and a file that cannot be written.
TROUBLE = """
import atexit
os.chdir(os.path.dirname(os.path.abspath(__file__)))
r, w = os.pipe()
sits = threading.Event()
goes_on = threading.Event()

def sender():
    file = open(w, "wb", closefd=False)
    file.write(b"y" * 100)
    sits.set()
    file.write(b"y" * 10_000_000)

def logger():
    file = open("log.txt", "w")
    file.write("record\\n")
    goes_on.set()
    while True:
        time.sleep(0.001)

def uploader():
    time.sleep(0.3)

def save():
    time.sleep(0.3)

threading.Thread(target=sender, name="sender", daemon=True).start()
threading.Thread(target=logger, name="</bdi><script>document.title='ran'</script>", daemon=True).start()
sits.wait()
goes_on.wait()
says("'sender'", "in write")
full = open("/dev/full", "w")
full.write("lost")
atexit.register(save)
threading.Thread(target=uploader, name="uploader").start()
"""

NEVER_ENDS = """
def fetch():
    threading.Event().wait()

threading.Thread(target=fetch, name="fetcher").start()
"""


@pytest.fixture
def report(run, tmp_path):
    """Runs a program to its end, and reads its report."""

    def told(source, *options):
        path = tmp_path / "report.json"
        run(source, ["--report", "json:%s" % path, *options])
        return json.loads(path.read_text(encoding="utf-8"))

    return told


def test_a_report_has_what_each_thread_did_and_what_the_end_waited_for(report):
    told = report(TROUBLE)
    threads = {thread["name"]: thread["stretches"] for thread in told["threads"]}
    assert {"thread 'MainThread'", "thread 'uploader'", "daemon thread 'sender'"} <= set(threads)
    upload = threads["thread 'uploader'"]
    assert any("in uploader" in stretch["what"] for stretch in upload)
    end_of_upload = max(stretch["start_us"] + stretch["us"] for stretch in upload)
    assert end_of_upload < told["total_us"]
    sends = threads["daemon thread 'sender'"][-1]
    assert sends["state"] == "waiting" and "in write of descriptor" in sends["what"]
    logs = next(stretches for name, stretches in threads.items() if "script" in name)
    assert logs[-1]["state"] == "stopped"
    waits = {wait["what"]: wait for wait in told["blocked"]}
    assert any("thread 'uploader', in uploader" in what for what in waits)
    assert any("exit callback save" in what for what in waits)
    (lock,) = [wait for what, wait in waits.items() if "the lock of descriptor" in what]
    assert "held by daemon thread 'sender', in sender" in lock["outcome"]


def test_a_report_counts_what_each_file_held_once(report):
    told = report(TROUBLE)
    files = {file["name"]: file for file in told["destinations"]}
    assert (files["log.txt"]["accepted"], files["log.txt"]["written"], files["log.txt"]["unwritten"]) == (7, 7, 0)
    assert (files["/dev/full"]["accepted"], files["/dev/full"]["unwritten"]) == (4, 4)
    assert told["missing_bytes"] == 4


def test_a_program_that_the_deadline_ends_leaves_its_report(report):
    told = report(TROUBLE.replace("time.sleep(0.3)", "pass") + NEVER_ENDS, "--deadline", "1s")
    assert told["status"]["name"] == "Incomplete"
    assert any("thread 'fetcher', in fetch" in wait["what"] for wait in told["blocked"])
    assert "thread 'fetcher'" in [thread["name"] for thread in told["threads"]]
    assert {"log.txt", "/dev/full"} <= {file["name"] for file in told["destinations"]}


def test_a_thread_that_only_waits_for_its_turn_in_the_interpreter_is_not_said_to_wait(report):
    told = report("""
    def spin():
        while True:
            pass

    for n in range(3):
        threading.Thread(target=spin, name="spin %d" % n, daemon=True).start()
    time.sleep(0.1)
    threading.Thread(target=time.sleep, args=(0.3,)).start()
    """)
    for name in ("spin 0", "spin 1", "spin 2"):
        (stretches,) = [t["stretches"] for t in told["threads"] if t["name"] == "daemon thread '%s'" % name]
        assert {stretch["state"] for stretch in stretches} <= {"running", "stopped"}


def test_without_a_report_nobody_looks_at_the_threads(run):
    _, out, _ = run("""
    import atexit
    def last():
        print("looks" if "rtfinalize._looks" in sys.modules else "no looks")
    atexit.register(last)
    threading.Thread(target=time.sleep, args=(0.1,)).start()
    """, [])
    assert out == "no looks\n"


# ---- in a browser ----

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def dom(page, folder):
    """The document as the browser has it, once everything is loaded."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=%s" % folder, "--dump-dom",
               page.as_uri()]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=BOUND)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8")


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium")
def test_the_page_has_its_lanes_and_its_bytes_in_a_browser_and_nothing_in_it_runs(run, tmp_path):
    page = tmp_path / "report.html"
    run(TROUBLE, ["--report", "html:%s" % page])
    document = dom(page, tmp_path / "browser")
    (title,) = re.findall("<title>(.*?)</title>", document)
    assert title == "main: ended, but not everything could be done"
    header = html.unescape(re.sub("<[^>]*>", "", document.split("<header", 1)[1].split("</header>", 1)[0]))
    assert "4 bytes for /dev/full did not arrive" in header
    assert "for thread 'uploader', in uploader" in header
    lanes = [html.unescape(re.sub("<[^>]*>", "", lane)) for lane in re.findall('<span class="what">(.*?)</span>', document)]
    for name in ("thread 'MainThread'", "thread 'uploader'", "daemon thread 'sender'",
                 "daemon thread '</bdi><script>document.title='ran'</script>'"):
        assert name in lanes, lanes
    # The browser repairs what is not well formed, and keeps what is.
    assert document.count("<script") == 0 and document.count('<i class="stopped"') >= 1
    assert "No byte is unaccounted for." in document
