"""The ways to start a program."""

# %% command_option: -c
# argv: -c 'print(1); raise SystemExit(2)'
# ends: 2
# stdout: ^1$

# %% command_option_fails: an exception of -c
# argv: -c '1/0'
# ends: 1
# stderr: ^ZeroDivisionError

# %% command_option_with_file: a file opened by -c
# argv: -c 'f = open("log", "w"); f.write("x")'

# %% module_option: -m of a package
# argv: -m package one two
# ends: 3
# stdout: ^package.__main__? one two$|__main__
# --- package/__init__.py
# --- package/__main__.py
import sys
print(__name__, *sys.argv[1:])
sys.exit(3)

# %% module_option_fails: -m of a module that is not there
# argv: -m no.such.module
# ends: 1
# stderr: Error while finding module specification

# %% module_option_standard: -m json.tool
# argv: -m json.tool
# stdin: '{"b": 1, "a": [2]}'
# stdout: "b": 1

# %% module_option_this: -m this
# argv: -m this
# stdout: ^The Zen of Python

# %% script_from_stdin: a script through standard input
# argv: - one
# stdin: 'import sys\nprint(sys.argv)\nsys.exit(4)\n'
# ends: 4
# stdout: one

# %% script_from_stdin_fails: an exception of it
# argv: -
# stdin: 'print("x")\n1/0\n'
# ends: 1
# stdout: ^x$
# stderr: File "<stdin>", line 2

# %% script_from_stdin_without_newline: half a line at its end
# argv: -
# stdin: 'print("x")'
# stdout: ^x$

# %% script_from_pipe: a script by /dev/stdin
# run: echo 'print("piped")' | $PY /dev/stdin
# stdout: ^piped$

# %% interactive_from_pipe: -i with piped input
# argv: -i -q
# stdin: 'x = 5\nx + 1\n'
# stdout: ^6$
# stderr: >>>

# %% interactive_fails: -i with piped input and an exception
# argv: -i -q
# stdin: '1/0\nprint("went on")\n'
# stdout: ^went on$
# stderr: ZeroDivisionError

# %% interactive_exits: -i with piped input and sys.exit
# argv: -i -q
# stdin: 'import sys\nsys.exit(7)\nprint("never")\n'
# ends: 7
# stderr: >>>

# %% interactive_after_script: -i after a script that fails
# argv: -i -q program.py
# stdin: 'print("value", value)\n'
# stdout: ^value 5$
# stderr: ZeroDivisionError
value = 5
1 / 0

# %% interactive_after_script_that_exits: -i after a script that calls sys.exit
# argv: -i -q program.py
# stdin: 'exit(6)\n'
# ends: 6
# stderr: SystemExit: 3
import sys
sys.exit(3)

# %% interactive_by_variable: PYTHONINSPECT set by the script
# argv: -q program.py
# stdin: 'print("inspected")\n'
# stdout: ^script$
import os
os.environ["PYTHONINSPECT"] = "1"
print("script")

# %% interactive_on_terminal: the basic prompt on a terminal
# terminal: after >>>
# argv: -q
# set: PYTHON_BASIC_REPL=1
# stdin: 'print(6 * 7)\nexit(3)\n'
# ends: 3
# stdout: 42
# ignore: .python_history

# %% interactive_end_of_file_on_terminal: control-D at the prompt
# terminal: after >>>
# argv: -q
# set: PYTHON_BASIC_REPL=1
# stdin: '\x04'
# stdout: >>>
# ignore: .python_history

# %% interactive_with_thread: a thread that runs while the prompt ends
# argv: -i -q program.py
# stdin: '\n'
# stdout: ^worker$
# stderr: >>>
import threading
def work():
    threading.main_thread().join()
    print("worker")
threading.Thread(target=work).start()

# %% startup_file: PYTHONSTARTUP
# argv: -i -q
# set: PYTHONSTARTUP=program.py
# stdin: 'started\n'
# stdout: ^'yes'$
# stderr: >>>
started = "yes"

# %% zipapp: a program in a zip archive
# run: $PY -m zipapp app -o app.pyz && $PY app.pyz; echo $?
# ignore: app.pyz
# stdout: ^from the archive\n3$
# --- app/__main__.py
import sys
print("from the archive")
sys.exit(3)

# %% zipapp_fails: an exception in a zip archive
# run: $PY -m zipapp app -o app.pyz && exec $PY app.pyz
# ignore: app.pyz
# ends: 1
# stderr: app.pyz/__main__.py", line 1
# --- app/__main__.py
1 / 0

# %% folder_as_program: a folder with __main__.py
# argv: app
# stdout: ^folder$
# --- app/__main__.py
print("folder")

# %% compiled_program: a .pyc as a program
# run: $PY -m compileall -q -b app.py; $PY app.pyc
# ignore: app.pyc
# stdout: ^compiled$
# --- app.py
print("compiled")

# %% shebang_and_first_line_skipped: -x
# argv: -x program.py
# stdout: ^second$
this is no Python
print("second")

# %% sitecustomize: a sitecustomize that registers an exit callback
# set: PYTHONPATH=.
# stdout: ^program\nfrom sitecustomize$
print("program")
# --- sitecustomize.py
import atexit
atexit.register(print, "from sitecustomize")

# %% sitecustomize_fails: a sitecustomize that raises
# set: PYTHONPATH=.
# stdout: ^program$
# stderr: Error in sitecustomize
print("program")
# --- sitecustomize.py
1 / 0

# %% usercustomize: a usercustomize of the user's own folder
# argv: program.py
# set: PYTHONUSERBASE=base
# stdout: ^program\nfrom usercustomize$
print("program")
# --- base/lib/python3.13/site-packages/usercustomize.py
import atexit
atexit.register(print, "from usercustomize")

# %% pth_file: a .pth file that imports
# set: PYTHONUSERBASE=base
# stdout: ^from pth\nprogram$
print("program")
# --- base/lib/python3.13/site-packages/start.pth
import sys; print("from pth")

# %% profile_option: -m cProfile
# argv: -m cProfile program.py
# stdout: function calls
# sorted: stdout
# replace: \d+\.\d+ => N
# replace: \d+ function calls => N function calls
# ends: 0
print("profiled")

# %% profile_and_exit: -m cProfile of a script that exits
# argv: -m cProfile -o profile program.py
# ignore: profile
# stdout: ^profiled$
import sys
print("profiled")
sys.exit(5)

# %% trace_option: -m trace
# argv: -m trace --count --summary program.py
# stdout: lines   cov
# ignore: *.cover
print("traced")

# %% timeit_option: -m timeit
# argv: -m timeit -n 1 -r 1 pass
# stdout: ^1 loop, best of 1
# replace: best of 1: .* => best of 1: TIME

# %% runpy_module: runpy.run_module
# stdout: ^__main__ ran$
# ends: 3
import runpy
runpy.run_module("other", run_name="__main__")
# --- other.py
import sys
print(__name__, "ran")
sys.exit(3)

# %% runpy_path: runpy.run_path leaves its files open
# stdout: ^ran$
import runpy
names = runpy.run_path("other.py")
print(names["state"])
# --- other.py
state = "ran"
file = open("log", "w")
file.write("x\n")

# %% exec_and_compile: exec of a string that fails
# ends: 1
# stderr: File "<string>", line 2
exec("x = 1\nx / 0")
