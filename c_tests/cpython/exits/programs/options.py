"""Python's own options and variables."""

# %% optimised: -O
# argv: -O program.py
# stdout: ^False a doc$
def f():
    "a doc"
assert False
print(__debug__, f.__doc__)

# %% optimised_twice: -OO
# argv: -OO program.py
# stdout: ^False None$
def f():
    "a doc"
assert False
print(__debug__, f.__doc__)

# %% ignore_environment: -E
# argv: -E program.py
# set: PYTHONOPTIMIZE=2
# stdout: ^0$
import sys
print(sys.flags.optimize)

# %% isolated: -I
# argv: -I program.py
# stdout: ^True False$
import os, sys
print(sys.flags.isolated == 1, os.getcwd() in sys.path)

# %% no_user_site: -s
# argv: -s program.py
# stdout: ^False$
import site
print(site.ENABLE_USER_SITE)

# %% no_site: -S
# argv: -S program.py
# ends: 1
# stdout: ^no site$
# stderr: ^NameError
print("x" if "site" in __import__("sys").modules else "no site")
exit(3)

# %% unbuffered: -u
# argv: -u program.py
# ends: 3
# stdout: ^seen$
import os
print("seen")
os._exit(3)

# %% unbuffered_by_variable: PYTHONUNBUFFERED
# set: PYTHONUNBUFFERED=1
# ends: 3
# stdout: ^seen$
import os
print("seen")
os._exit(3)

# %% quiet: -q without input
# argv: -q

# %% bytes_warning: -b
# argv: -b program.py
# stderr: BytesWarning
print(b"a" == "a", file=open("/dev/null", "w"))

# %% bytes_error: -bb
# argv: -bb program.py
# ends: 1
# stderr: ^BytesWarning
b"a" == "a"

# %% no_bytecode: -B
# argv: -B program.py
# stdout: ^True \[\]$
import glob, sys
import other
print(sys.flags.dont_write_bytecode == 1, glob.glob("__pycache__/*"))
# --- other.py

# %% verbose: -v names each import and what it clears
# run: $PY -v -S -E program.py 2>&1 | grep -E '^# (cleanup|clear|destroy|restore|cleaning|program)' | sort -u
# stdout: ^# cleanup\[\d\] removing __main__$
print("program")

# %% verbose_order_at_end: -v, the order in which modules go
# run: $PY -v -S -E program.py 2>&1 | sed -n '/^# clear sys.path_importer/,$p'
# stdout: ^# destroy sys$|# clear
print("program")

# %% parser_debug_environment: PYTHONDUMPREFS and other variables of debug builds do nothing
# set: PYTHONDUMPREFS=1
# set: PYTHONTHREADDEBUG=1
# stdout: ^x$
print("x")

# %% warnings_default: -W default
# argv: -W default program.py
# stderr: DeprecationWarning: old
import warnings
warnings.warn("old", DeprecationWarning)

# %% warnings_error: -W error
# argv: -W error program.py
# ends: 1
# stderr: ^UserWarning: told$
import warnings
warnings.warn("told")

# %% warnings_ignore: -W ignore
# argv: -W ignore program.py
import warnings
warnings.warn("told")

# %% warnings_invalid: an option of -W that is none
# argv: -W nonsense program.py
# stdout: ^x$
# stderr: Invalid -W option
print("x")

# %% warnings_once_at_exit: a warning in an exit callback
# argv: -W always program.py
# stderr: UserWarning: late
import atexit, warnings
atexit.register(warnings.warn, "late")

# %% warnings_in_del_at_exit: a warning in __del__ at the end
# argv: -W always program.py
# stderr: UserWarning: last$
import warnings
class Last:
    def __del__(self, warn=warnings.warn):
        warn("last")
last = Last()

# %% dev_mode: -X dev
# argv: -X dev program.py
# stdout: ^True True$
import faulthandler, sys
print(sys.flags.dev_mode, faulthandler.is_enabled())

# %% dev_mode_by_variable: PYTHONDEVMODE
# set: PYTHONDEVMODE=1
# stdout: ^True$
import sys
print(sys.flags.dev_mode)

# %% dev_mode_with_exception_in_close: -X dev tells of a close that fails
# argv: -X dev program.py
# stderr: Exception ignored
# normalise: address
import io
class Raw(io.RawIOBase):
    def close(self):
        raise RuntimeError("no close")
raw = Raw()

# %% x_faulthandler: -X faulthandler and nothing happens
# argv: -X faulthandler program.py
# stdout: ^True$
import faulthandler
print(faulthandler.is_enabled())

# %% x_showrefcount: -X showrefcount does nothing in a release build
# argv: -X showrefcount program.py
# stdout: ^x$
print("x")

# %% x_tracemalloc: -X tracemalloc
# argv: -X tracemalloc=5 program.py
# stdout: ^True$
import tracemalloc
print(tracemalloc.is_tracing())

# %% x_tracemalloc_and_warning: a ResourceWarning tells where the file was opened
# argv: -X tracemalloc -W default program.py
# stderr: Object allocated at
file = open("log", "w")
file = None

# %% tracemalloc_running_at_exit: tracemalloc.start, and no stop
# stdout: ^\d$
import tracemalloc
tracemalloc.start(10)
data = [bytes(1000) for _ in range(1000)]
print(len(str(tracemalloc.get_traced_memory()[0] > 100000)))

# %% tracemalloc_in_exit_callback: a snapshot in an exit callback
# stdout: ^True$
import atexit, tracemalloc
tracemalloc.start()
atexit.register(lambda: print(len(tracemalloc.take_snapshot().traces) > 0))

# %% x_importtime: -X importtime
# argv: -X importtime program.py
# stdout: ^x$
# stderr: import time: self
# replace: (?m)^import time:\s+\d+ \|\s+\d+ \| => import time: N | N |
print("x")

# %% x_utf8: -X utf8
# argv: -X utf8=1 program.py
# set: LC_ALL=POSIX
# stdout: ^1 utf-8$
import sys
print(sys.flags.utf8_mode, sys.stdout.encoding)

# %% x_utf8_off: -X utf8=0 with the C locale
# argv: -X utf8=0 program.py
# set: LC_ALL=C
# set: PYTHONCOERCECLOCALE=0
# ends: 1
# stderr: ^UnicodeEncodeError
print("caf\u00e9")

# %% x_frozen_modules: -X frozen_modules=off
# argv: -X frozen_modules=off program.py
# stdout: ^x$
print("x")

# %% x_frozen_modules_fails: an exception with -X frozen_modules=off
# argv: -X frozen_modules=off -m package.module
# ends: 1
# stderr: ZeroDivisionError
# --- package/module.py
1 / 0

# %% x_no_debug_ranges: -X no_debug_ranges
# argv: -X no_debug_ranges program.py
# ends: 1
# stderr: ^ZeroDivisionError
1 / 0

# %% x_int_max_str_digits: -X int_max_str_digits
# argv: -X int_max_str_digits=640 program.py
# ends: 1
# stderr: ^ValueError: Exceeds the limit
str(10 ** 1000)

# %% x_int_max_str_digits_invalid: a limit that is too low
# argv: -X int_max_str_digits=1 program.py
# ends: 1
# stderr: invalid limit

# %% x_pycache_prefix: -X pycache_prefix
# argv: -X pycache_prefix=cache program.py
# ignore: cache/*
# replace: cache/.* => CACHE
# stdout: ^cache$
import sys
print(sys.pycache_prefix)

# %% x_warn_default_encoding: -X warn_default_encoding
# argv: -X warn_default_encoding program.py
# stderr: EncodingWarning
open("log", "w").close()

# %% x_safe_path: -P
# argv: -P program.py
# ends: 1
# stderr: ^ModuleNotFoundError
import other
# --- other.py
x = 1

# %% x_cpu_count: -X cpu_count
# argv: -X cpu_count=7 program.py
# stdout: ^7$
import os
print(os.cpu_count())

# %% x_gil: -X gil=1
# argv: -X gil=1 program.py
# stdout: ^x$
print("x")

# %% x_gil_off: -X gil=0 in a build that cannot
# argv: -X gil=0 program.py
# ends: 1
# stderr: Disabling the GIL is not supported by this build

# %% x_perf: -X perf
# argv: -X perf program.py
# stdout: ^x$
print("x")

# %% x_presite: -X presite of a build without it
# argv: -X presite=no.such program.py
# stdout: ^x$
print("x")

# %% x_unknown: -X with a name of the program's own
# argv: -X mine=5 program.py
# stdout: ^5$
import sys
print(sys._xoptions["mine"])

# %% x_no_site_by_flag: -X and -S and -E and -s at once
# argv: -SEs -X dev program.py
# stdout: ^x$
print("x")

# %% hash_seed: PYTHONHASHSEED
# set: PYTHONHASHSEED=5
# stdout: ^-?\d+$
print(hash("text"))

# %% hash_seed_invalid: a seed that is none
# set: PYTHONHASHSEED=never
# ends: 1
# stderr: PYTHONHASHSEED must be

# %% malloc_debug: PYTHONMALLOC=debug
# set: PYTHONMALLOC=debug
# stdout: ^x$
print("x")

# %% malloc_system: PYTHONMALLOC=malloc
# set: PYTHONMALLOC=malloc
# stdout: ^x$
print("x")

# %% malloc_statistics: PYTHONMALLOCSTATS
# set: PYTHONMALLOCSTATS=1
# stderr: Small block threshold
# replace: (?s)\A.*Small block threshold.*\Z => statistics
# stdout: ^x$
print("x")

# %% home_that_is_wrong: PYTHONHOME leads nowhere
# set: PYTHONHOME=/nowhere
# ends: 1
# stderr: Fatal Python error: Failed to import encodings module
# replace: (?s)\A.*Failed to import encodings.*\Z => FATAL
print("never")

# %% io_encoding_invalid: PYTHONIOENCODING of an encoding that is not there
# set: PYTHONIOENCODING=nonsense
# ends: 1
# stderr: Fatal Python error: init_stdio_encoding
# normalise: thread header

# %% breakpoint_off: PYTHONBREAKPOINT=0
# set: PYTHONBREAKPOINT=0
# stdout: ^went on$
breakpoint()
print("went on")
