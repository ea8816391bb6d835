"""Subinterpreters: the package is for the main one, and takes care of those that a program leaves open."""

import pytest

# The module by its name in each release.
HEAD = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
sub = interpreters.create()
"""

WRITES = """
file = open("of-a-subinterpreter", "w")
file.write("to the last byte\\n")
"""


def test_an_import_in_a_subinterpreter_is_refused_with_a_reason(run):
    source = HEAD + """
interpreters.run_string(sub, '''
try:
    import rtfinalize
except ImportError as error:
    print(error, flush=True)
''')
"""
    code, out, err = run(source)
    assert (code, out) == (0, "rtfinalize works in the main interpreter only, and not in a subinterpreter\n")


@pytest.mark.parametrize("options", [[], ["--end", "exit"], ["--end", "continue"]])
def test_the_files_of_one_that_is_left_open_are_written(run, tmp_path, options):
    code, out, err = run(HEAD + "interpreters.run_string(sub, %r)" % WRITES, options)
    assert (code, out) == (0, "")
    assert "rtfinalize: " not in err
    assert (tmp_path / "of-a-subinterpreter").read_text() == "to the last byte\n"


# CPython aborts, or loses what the file holds.
@pytest.mark.parametrize("does", ["time.sleep(3600)", "while True: time.sleep(0.001)"])
def test_the_files_of_one_that_runs_in_a_daemon_thread_are_written(run, tmp_path, does):
    source = HEAD + """
reader, writer = os.pipe()
script = %r + "import os, time; os.write(%%d, b'x')\\n" %% writer + %r
threading.Thread(target=interpreters.run_string, args=(sub, script), daemon=True).start()
os.read(reader, 1)
print("end")
""" % (WRITES, does)
    code, out, err = run(source, [])
    assert (code, out) == (0, "end\n")
    assert "rtfinalize: " not in err
    assert (tmp_path / "of-a-subinterpreter").read_text() == "to the last byte\n"


def test_a_file_of_one_that_cannot_be_written_is_told(run):
    source = HEAD + "interpreters.run_string(sub, '''file = open(\"/dev/full\", \"w\"); file.write(\"lost\")''')"
    code, out, err = run(source, ["--end", "exit"])
    assert code == 120
    assert "of subinterpreters could not be written" in err
