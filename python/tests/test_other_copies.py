"""A process that has the library loaded beside the package's: a C host's own copy, say."""

import pytest
from interpreters import RELEASE

LIBRARY = str(RELEASE / "librtfinalize.so")

HOST = """
import atexit, ctypes, os
import rtfinalize
host = ctypes.CDLL(%r, ctypes.RTLD_GLOBAL)
RUNNING, FINALIZED = 0, 3
def at_exit():
    # What ends is the package's runtime.
    print("at exit", host.rt_runtime_state(None) == RUNNING, host.rt_is_finalizing())
    print("finalized", host.rt_finalize_ex(), host.rt_runtime_state(None) == FINALIZED)
rtfinalize.install(report="json:report.json")
atexit.register(at_exit)
file = open("file", "w")
file.write("text")
guard = rtfinalize.Guard("open")
print("guard", host.rt_runtime_state(None) == RUNNING)
guard.close()
"""


@pytest.mark.skipif(not (RELEASE / "librtfinalize.so").exists(), reason="make builds librtfinalize.so, and has not been called")
@pytest.mark.parametrize("way", ["loaded before", "loaded after", "preloaded"])
def test_two_copies_of_the_library_do_not_meet(run, tmp_path, way):
    source = "os.chdir(%r)\n%s" % (str(tmp_path), HOST % LIBRARY)
    if way == "loaded before":
        # The package has been imported by then; it comes in a new process.
        source = "import subprocess\nsys.exit(subprocess.run([sys.executable, '-c', %r]).returncode)" % (
            "import ctypes, os, sys; ctypes.CDLL(%r, ctypes.RTLD_GLOBAL)\n%s" % (LIBRARY, source)
        )
    code, out, err = run(source, **({"LD_PRELOAD": LIBRARY} if way == "preloaded" else {}))
    assert (code, err) == (0, "")
    assert out.splitlines() == ["guard True", "at exit True 0", "finalized 0 True"]
    assert (tmp_path / "file").read_text() == "text"
    assert '"restartable": true' in (tmp_path / "report.json").read_text().replace('":true', '": true')
