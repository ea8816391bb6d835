"""Exit codes, and exceptions that end a program. How a row is written: ../row.py."""

# %% end_of_script: a script that runs to its end
# stdout: ^done$
print("done")

# %% exit_with_small_int: sys.exit(3)
# ends: 3
# stdout: ^before$
import sys
print("before")
sys.exit(3)

# %% exit_with_none: sys.exit(None)
import sys
sys.exit(None)

# %% exit_with_true: sys.exit(True) ends with 1
# ends: 1
import sys
sys.exit(True)

# %% exit_with_256: sys.exit(256) ends with 0, of which eight bits are left
import sys
sys.exit(256)

# %% exit_with_minus_one: sys.exit(-1) ends with 255
# ends: 255
import sys
sys.exit(-1)

# %% exit_with_120: a script's own 120
# ends: 120
import sys
sys.exit(120)

# %% exit_with_huge_int: an int that no C int holds
# ends: 255
import sys
sys.exit(1 << 200)

# %% exit_with_text: sys.exit("text") writes it to stderr
# ends: 1
# stderr: ^no such file$
import sys
sys.exit("no such file")

# %% exit_with_text_after_output: stdout and stderr both, through pipes
# ends: 1
# stdout: ^line 99$
# stderr: ^gone$
import sys
for number in range(100):
    print("line", number)
sys.exit("gone")

# %% exit_with_unencodable_text: a surrogate in the text
# ends: 1
# stderr: udc80
import sys
sys.exit("a \udc80 b")

# %% exit_with_tuple: sys.exit of several values
# ends: 1
# stderr: ^\(1, 2\)$
import sys
sys.exit((1, 2))

# %% exit_with_float: sys.exit(2.0) writes the number
# ends: 1
# stderr: ^2\.0$
import sys
sys.exit(2.0)

# %% exit_with_exception: sys.exit of an exception
# ends: 1
# stderr: ^wrong$
import sys
sys.exit(ValueError("wrong"))

# %% exit_with_object_whose_str_fails: what sys.exit was given cannot be written
# ends: 1
# stderr: \A\n\Z
import sys
class Broken:
    def __str__(self):
        raise RuntimeError("no text")
sys.exit(Broken())

# %% exit_with_int_subclass: an enumeration's member as a code
# ends: 7
import enum, sys
class Code(enum.IntEnum):
    BAD = 7
sys.exit(Code.BAD)

# %% raise_system_exit: SystemExit raised by hand
# ends: 4
raise SystemExit(4)

# %% system_exit_from_another: SystemExit raised from another exception
# ends: 5
try:
    1 / 0
except ZeroDivisionError as error:
    raise SystemExit(5) from error

# %% system_exit_in_finally: a finally clause after sys.exit
# ends: 6
# stdout: ^finally$
import sys
try:
    sys.exit(2)
finally:
    print("finally")
    sys.exit(6)

# %% builtin_exit_and_quit: exit() of module site
# ends: 8
# stdout: ^x$
print("x")
exit(8)

# %% quit_closes_stdin: quit() closes standard input
# ends: 9
import atexit, sys
atexit.register(lambda: sys.stdin.closed or print("open"))
quit(9)

# %% os_exit_drops_buffers: os._exit writes no buffer
# ends: 3
import os
print("never seen")
os._exit(3)

# %% os_exit_after_flush: os._exit after a flush
# ends: 3
# stdout: ^seen$
import os
print("seen", flush=True)
os._exit(3)

# %% os_abort: os.abort
# ends: SIGABRT
import os
os.abort()

# %% uncaught_exception: a traceback
# ends: 1
# stdout: ^before$
# stderr: ^ZeroDivisionError: division by zero$
def divide(a, b):
    return a / b
print("before")
divide(1, 0)

# %% uncaught_chained_exception: a traceback with a cause and a context
# ends: 1
# stderr: direct cause[\s\S]*During handling
def first():
    try:
        {}["key"]
    except KeyError as error:
        raise ValueError("no key") from error
try:
    first()
except ValueError:
    raise RuntimeError("and then")

# %% uncaught_exception_group: groups in groups
# ends: 1
# stderr: ExceptionGroup: outer \(2 sub-exceptions\)
def fail(error):
    try:
        raise error
    except Exception as caught:
        return caught
raise ExceptionGroup("outer", [fail(ValueError(1)), ExceptionGroup("inner", [fail(TypeError(2)), fail(OSError(3))])])

# %% uncaught_exception_with_notes: notes below the message
# ends: 1
# stderr: ^one\ntwo$
error = ValueError("with notes")
error.add_note("one")
error.add_note("two")
raise error

# %% uncaught_exception_without_text: str() of it fails
# ends: 1
# stderr: exception str\(\) failed
class Bad(Exception):
    def __str__(self):
        raise RuntimeError
raise Bad

# %% uncaught_recursion: a recursion that is too deep
# ends: 1
# stderr: RecursionError
def deeper():
    deeper()
deeper()

# %% uncaught_memory_error: memory that nobody has
# ends: 1
# stderr: ^MemoryError$
b"x" * (1 << 62)

# %% syntax_error_in_script: a script that does not compile
# ends: 1
# stderr: ^SyntaxError
print("never"
def

# %% indentation_error_in_script: a script with a wrong indentation
# ends: 1
# stderr: ^IndentationError
if True:
print(1)

# %% import_error: a module that is not there
# ends: 1
# stderr: ^ModuleNotFoundError
import no_such_module_anywhere

# %% circular_import: two modules that import each other
# ends: 1
# stderr: cannot import name 'x' from 'a'
import a
# --- a.py
from b import y
x = 1
# --- b.py
from a import x
y = 1

# %% suggestions_in_name_error: a name that is nearly one
# ends: 1
# stderr: Did you mean: 'number'
number = 1
print(numbre)

# %% script_that_is_not_there: a path that leads nowhere
# argv: nothing_here.py
# ends: 2
# stderr: can't open file

# %% script_that_is_a_folder: a folder without __main__
# argv: tmp
# ends: 1
# stderr: can't find '__main__' module

# %% unknown_option: an option that Python does not have
# argv: --no-such-option
# ends: 2
# stderr: unknown option

# %% version_option: -V
# argv: -V
# stdout: ^Python 3

# %% help_option: -h
# argv: -h
# stdout: ^usage

# %% help_all_option: --help-all
# argv: --help-all
# stdout: PYTHONPATH

# %% argparse_error: argparse ends with 2
# argv: program.py --count many
# ends: 2
# stderr: invalid int value
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int)
parser.parse_args()

# %% argparse_help: argparse prints its help
# argv: program.py --help
# stdout: ^usage: program.py
import argparse
argparse.ArgumentParser(description="a program").parse_args()

# %% exception_in_excepthook: an excepthook that fails itself
# ends: 1
# stderr: Error in sys.excepthook[\s\S]*Original exception was
import sys
def hook(*_):
    raise RuntimeError("in the hook")
sys.excepthook = hook
raise ValueError("the first")

# %% excepthook_replaced: an excepthook that prints one line
# ends: 1
# stdout: ^caught ValueError no$
import sys
sys.excepthook = lambda kind, value, _: print("caught", kind.__name__, value)
raise ValueError("no")

# %% excepthook_that_exits: SystemExit in an excepthook
# ends: 42
import sys
def hook(*_):
    sys.exit(42)
sys.excepthook = hook
raise ValueError

# %% excepthook_deleted: there is no excepthook
# ends: 1
# stderr: sys.excepthook is missing
import sys
del sys.excepthook
raise ValueError("no")

# %% tracebacklimit: sys.tracebacklimit = 0
# ends: 1
# stderr: ^ValueError: short$
import sys
sys.tracebacklimit = 0
raise ValueError("short")

# %% uncaught_in_generator_close: a generator that ignores GeneratorExit
# stderr: generator ignored GeneratorExit
# normalise: address
def endless():
    while True:
        try:
            yield 1
        except GeneratorExit:
            pass
numbers = endless()
next(numbers)
del numbers

# %% generator_suspended_at_exit: a generator's finally clause at exit
# stdout: ^clean$
def lines():
    try:
        yield 1
    finally:
        print("clean")
numbers = lines()
next(numbers)

# %% with_block_at_exit: context managers on the way out of sys.exit
# ends: 3
# stdout: ^left inner\nleft outer$
import contextlib, sys
@contextlib.contextmanager
def block(name):
    try:
        yield
    finally:
        print("left", name)
with block("outer"), block("inner"):
    sys.exit(3)

# %% warning_as_it_ends: a warning on the last line
# stderr: UserWarning: the last
import warnings
warnings.warn("the last")

# %% deep_traceback_repeated: the same line 100 times in a traceback
# ends: 1
# stderr: Previous line repeated 9\d more times
def down(n):
    if n == 0:
        raise ValueError("bottom")
    down(n - 1)
down(100)
