"""Modules of the standard library that are programs, or end one."""

# %% unittest_passes: a unittest program
# stderr: ^OK$
# normalise: seconds
import unittest
class Test(unittest.TestCase):
    def test_it(self):
        self.assertEqual(1, 1)
unittest.main()

# %% unittest_fails: a test that fails
# ends: 1
# stderr: ^FAILED \(failures=1\)$
# normalise: seconds
import unittest
class Test(unittest.TestCase):
    def test_it(self):
        self.assertEqual(1, 2)
unittest.main()

# %% unittest_runs_nothing: no test
# ends: 5
# stderr: ^NO TESTS RAN$
# normalise: seconds
import unittest
unittest.main()

# %% unittest_module: python -m unittest
# argv: -m unittest -v test_it
# stdout: ^printed$
# stderr: ^OK$
# normalise: seconds
# --- test_it.py
import unittest
class Test(unittest.TestCase):
    def test_prints(self):
        print("printed")

# %% unittest_with_thread_left: a test that leaves a thread
# stdout: ^thread$
# stderr: ^OK$
# normalise: seconds
import threading, unittest
class Test(unittest.TestCase):
    def test_it(self):
        def work():
            threading.main_thread().join()
            print("thread")
        threading.Thread(target=work).start()
unittest.main()

# %% unittest_with_resource_warning: a test that leaves a file open
# stderr: ResourceWarning: unclosed file[\s\S]*^OK$
# normalise: seconds
import unittest
class Test(unittest.TestCase):
    def test_it(self):
        open("log", "w").write("x")
unittest.main()

# %% unittest_interrupted: an interrupt of a test
# ends: SIGINT
# stderr: ^KeyboardInterrupt$
import signal, unittest
class Test(unittest.TestCase):
    def test_it(self):
        signal.raise_signal(signal.SIGINT)
unittest.main()

# %% doctest_passes: a doctest
# argv: -m doctest program.py
def double(n):
    """
    >>> double(2)
    4
    """
    return 2 * n

# %% doctest_fails: a doctest that fails
# argv: -m doctest program.py
# ends: 1
# stdout: \*\*\*Test Failed\*\*\* 1 failure
def double(n):
    """
    >>> double(2)
    5
    """
    return 2 * n

# %% pdb_piped_continue: pdb with piped commands
# argv: -m pdb -c continue program.py
# stdin: 'q\n'
# stdout: ^program$
print("program")

# %% pdb_piped_quit: a breakpoint, and quit
# stdin: 'p value\nq\n'
# ends: 1
# stdout: \(Pdb\) 5
# stderr: bdb.BdbQuit
value = 5
breakpoint()
print("never")

# %% pdb_piped_end_of_input: a breakpoint without input
# stdin: '\n'
# ends: 1
# stdout: \(Pdb\)
# stderr: bdb.BdbQuit
breakpoint()

# %% pdb_continues: a breakpoint, and continue
# stdin: 'c\n'
# stdout: went on$
breakpoint()
print("went on")

# %% pdb_post_mortem: post mortem of an exception
# argv: -m pdb -c continue program.py
# stdin: 'p value\nq\nq\n'
# stdout: Entering post mortem debugging
# stderr: ZeroDivisionError
value = 5
value / 0

# %% code_interact: code.interact with piped input
# stdin: 'print(value + 1)\n'
# stdout: 6
# stderr: hello
# ends: 0
import code
value = 5
code.interact(banner="hello", exitmsg="bye", local={"value": value})

# %% code_interact_exits: exit() in code.interact
# stdin: 'exit(5)\n'
# ends: 5
# stdout: >>>
# stderr: hello
import code
code.interact(banner="hello", exitmsg="bye")

# %% cmd_loop: a cmd.Cmd program
# stdin: 'greet Ada\nquit\n'
# stdout: hello Ada
import cmd
class Shell(cmd.Cmd):
    prompt = "$ "
    def do_greet(self, name):
        print("hello", name)
    def do_quit(self, _):
        return True
Shell().cmdloop()

# %% cmd_loop_end_of_input: a cmd.Cmd program without input
# stdin: 'greet\n'
# ends: 3
# stdout: \*\*\* Unknown syntax: greet
import cmd, sys
class Shell(cmd.Cmd):
    def do_EOF(self, _):
        sys.exit(3)
Shell().cmdloop()

# %% readline_history: a history that is saved at exit
# stdout: ^1$
import atexit, readline
readline.add_history("one")
print(readline.get_current_history_length())
atexit.register(readline.write_history_file, "history")

# %% readline_completer: rlcompleter's exit callback
# stdout: ^print\($
import readline, rlcompleter
readline.set_completer(rlcompleter.Completer().complete)
print(readline.get_completer()("prin", 0))

# %% readline_on_terminal: input() by readline on a terminal
# terminal: after name
# stdin: 'Ada\n'
# stdout: hello Ada
import readline
print("hello", input("name? "))

# %% getpass_piped: getpass without a terminal
# stdin: 'secret\n'
# stdout: ^6$
# stderr: GetPassWarning
import getpass
print(len(getpass.getpass()))

# %% fileinput_left: fileinput that is not at its end
# argv: program.py program.py
# stdout: ^import fileinput$
import fileinput
print(next(fileinput.input()).strip())

# %% urllib_failure: a connection that is refused
# ends: 1
# stderr: urllib.error.URLError
import socket, urllib.request
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
try:
    urllib.request.urlopen(f"http://127.0.0.1:{port}")
except OSError as error:
    raise type(error)("refused") from None

# %% ssl_context_left: an SSL context
# stdout: ^True$
import ssl
context = ssl.create_default_context()
print(context.check_hostname)

# %% decimal_context: threads and decimal
# stdout: ^0.33333$
import decimal, threading
def work():
    decimal.getcontext().prec = 5
    print(decimal.Decimal(1) / 3)
threading.Thread(target=work).start()

# %% curses_left: curses without endwin
# terminal: yes
# set: TERM=xterm
# stdout: hello
import curses
screen = curses.initscr()
screen.addstr("hello")
screen.refresh()

# %% tkinter_without_display: tkinter without a display
# ends: 1
# stderr: TclError|ModuleNotFoundError|ImportError
import tkinter
tkinter.Tk()

# %% xml_parser_left: a parser in the middle of a document
# stdout: ^start a$
import xml.parsers.expat
parser = xml.parsers.expat.ParserCreate()
parser.StartElementHandler = lambda name, attributes: print("start", name)
parser.Parse("<a><")

# %% pickle_failure: what cannot be pickled
# ends: 1
# stderr: PicklingError
# normalise: address
import pickle
pickle.dumps(lambda: 0)

# %% venv_created: python -m venv without pip
# run: $PY -m venv --without-pip env && env/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'
# stdout: ^True$
# ignore: env/*
# normalise: temporary

# %% compileall_of_broken_file: compileall with a file that does not compile
# argv: -m compileall -q broken.py
# ends: 1
# stdout: SyntaxError
# --- broken.py
def

# %% tabnanny_and_ast: python -m ast
# argv: -m ast
# stdin: 'x = 1\n'
# stdout: ^Module\($

# %% platform_module: python -m platform ends quietly
# run: $PY -m platform | grep -c .
# stdout: ^1$

# %% calendar_module: python -m calendar
# argv: -m calendar 2024 2
# stdout: February 2024

# %% base64_and_binary_output: bytes through a pipe
# run: head -c 1000 /dev/zero | $PY -m base64 -e - | $PY -m base64 -d - | wc -c
# stdout: ^1000$

# %% smtp_log_handler_refused: a log handler that cannot deliver
# stderr: --- Logging error ---
import logging.handlers, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
handler = logging.handlers.SMTPHandler(("127.0.0.1", port), "a@localhost", ["b@localhost"], "told")
logging.getLogger().addHandler(handler)
logging.error("nobody hears")

# %% socket_log_handler: a SocketHandler and its receiver
# stdout: ^True$
import logging.handlers, socket
server = socket.create_server(("127.0.0.1", 0))
logging.getLogger().addHandler(logging.handlers.SocketHandler(*server.getsockname()))
logging.error("told")
print(len(server.accept()[0].recv(4)) == 4)

# %% syslog_open: syslog that is not closed
# stdout: ^main$
import syslog
syslog.openlog("exits")
print("main")

# %% random_state_in_threads: random and secrets in threads
# stdout: ^10$
import random, secrets, threading
random.seed(5)
threads = [threading.Thread(target=secrets.token_bytes, args=[10]) for _ in range(10)]
for thread in threads:
    thread.start()
print(len(threads))

# %% zoneinfo_cached: zoneinfo's cache
# stdout: ^0:00:00$
import datetime, zoneinfo
zone = zoneinfo.ZoneInfo("UTC") if "UTC" in zoneinfo.available_timezones() else datetime.timezone.utc
print(datetime.datetime(2024, 1, 1, tzinfo=zone).utcoffset())

# %% struct_time_and_tz: time.tzset
# set: TZ=UTC
# stdout: ^1970$
import time
time.tzset()
print(time.localtime(0).tm_year)
