"""Programs that a signal ends, or nearly."""

# %% sigint_default: an interrupt of a running script
# ends: SIGINT
# stdout: ^before$
# stderr: ^KeyboardInterrupt$
import os, signal
print("before")
os.kill(os.getpid(), signal.SIGINT)
while True:
    pass

# %% sigint_while_asleep: an interrupt of time.sleep
# ends: SIGINT
# stderr: time.sleep
import os, signal, threading, time
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
time.sleep(60)

# %% sigint_caught: KeyboardInterrupt is caught
# ends: 130
# stdout: ^interrupted$
import os, signal, sys
try:
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(130)

# %% sigint_in_exit_callback: an interrupt of an exit callback
# stderr: KeyboardInterrupt
# stdout: ^the other one$
# normalise: address
import atexit, os, signal
atexit.register(print, "the other one")
@atexit.register
def interrupted():
    signal.raise_signal(signal.SIGINT)
    for _ in range(1000):
        pass

# %% sigint_while_threads_are_waited_for: an interrupt of the wait for a thread at exit
# stderr: KeyboardInterrupt
# replace: /tmp/exits-\w+/\d+ => FOLDER
import os, signal, threading, time
joins = threading._shutdown
def work():
    # Until the main thread waits in there.
    while not waits():
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
def waits():
    import sys
    frame = sys._current_frames().get(threading.main_thread().ident)
    return frame is not None and frame.f_code is joins.__code__ and frame.f_lineno >= last and sleeps()
def sleeps():
    # Without a time limit, so not for the interpreter's lock.
    words = open(f"/proc/self/task/{os.getpid()}/syscall").read().split()
    return len(words) > 4 and words[4] == "0x0"
last = max(line for *_, line in joins.__code__.co_lines() if line)
threading.Thread(target=work).start()

# %% sigint_ignored: a program that ignores interrupts
# stdout: ^unharmed$
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGINT)
print("unharmed")

# %% sigint_inherited_as_ignored: started with interrupts ignored
# run: trap '' INT; exec $PY program.py
# stdout: ^Handlers.SIG_IGN$
import os, signal
os.kill(os.getpid(), signal.SIGINT)
print(repr(signal.getsignal(signal.SIGINT)).split(":")[0].strip("<"))

# %% sigint_in_child_with_pipe: an interrupt of a program in a pipeline
# run: $PY program.py | cat; echo "${PIPESTATUS[@]}"
# stdout: ^130 0$
# stderr: ^KeyboardInterrupt$
import os, signal
print("before")
os.kill(os.getpid(), signal.SIGINT)
input()

# %% sigint_typed_on_terminal: control-C on a terminal
# terminal: after ready
# stdin: '\x03'
# ends: 130
# stdout: interrupted
import sys, time
try:
    print("ready")
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(130)

# %% sigterm_default: SIGTERM writes no buffer
# ends: SIGTERM
import os, signal
print("never seen")
os.kill(os.getpid(), signal.SIGTERM)

# %% sigterm_handler_exits: a handler of SIGTERM that calls sys.exit
# ends: 143
# stdout: ^last words\nat exit$
import atexit, os, signal, sys, time
atexit.register(print, "at exit")
def end(number, frame):
    print("last words")
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, end)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)

# %% sigterm_handler_raises: a handler that raises
# ends: 1
# stderr: ^RuntimeError: told to end$
import os, signal, time
def end(number, frame):
    raise RuntimeError("told to end")
signal.signal(signal.SIGTERM, end)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)

# %% sigterm_handler_uses_os_exit: a handler that calls os._exit
# ends: 5
import os, signal, time
print("lost, as it says")
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)

# %% sigterm_as_interrupt: SIGTERM with the handler of SIGINT
# ends: SIGINT
# stderr: ^KeyboardInterrupt$
import os, signal
signal.signal(signal.SIGTERM, signal.default_int_handler)
os.kill(os.getpid(), signal.SIGTERM)
while True:
    pass

# %% sigterm_handler_kills_itself_again: the handler of many services
# ends: SIGTERM
# stdout: ^cleaning up$
import os, signal, time
def end(number, frame):
    print("cleaning up", flush=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
signal.signal(signal.SIGTERM, end)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)

# %% sigterm_in_exit_callback: a handler that exits inside an exit callback
# stdout: ^first\nlast$
# stderr: SystemExit: 9
# normalise: address
import atexit, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
atexit.register(print, "last")
@atexit.register
def told():
    print("first")
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass

# %% sigterm_from_parent: a parent ends its child and sees how
# stdout: ^child ended by -15$
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"],
                         stdout=subprocess.PIPE, text=True)
child.stdout.readline()
child.terminate()
print("child ended by", child.wait())
child.stdout.close()

# %% sigkill: SIGKILL
# ends: SIGKILL
import os, signal
print("never seen")
os.kill(os.getpid(), signal.SIGKILL)

# %% sighup_default: SIGHUP
# ends: SIGHUP
import os, signal
os.kill(os.getpid(), signal.SIGHUP)

# %% sighup_from_nohup: SIGHUP under nohup
# run: nohup $PY program.py </dev/null
# needs: nohup
# stdout: ^survived$
import os, signal
os.kill(os.getpid(), signal.SIGHUP)
print("survived")

# %% sigalrm_default: signal.alarm without a handler
# ends: SIGALRM
import signal, time
signal.setitimer(signal.ITIMER_REAL, 0.02)
time.sleep(30)

# %% sigsegv_with_faulthandler: a crash with faulthandler
# argv: -X faulthandler program.py
# ends: SIGSEGV
# stderr: ^Fatal Python error: Segmentation fault$
# normalise: thread header
import os, signal
def crash():
    os.kill(os.getpid(), signal.SIGSEGV)
crash()

# %% sigabrt_with_faulthandler: an abort with faulthandler
# argv: -X faulthandler program.py
# ends: SIGABRT
# stderr: ^Fatal Python error: Aborted$
# normalise: thread header
import os
os.abort()

# %% sigusr1_dumps_tracebacks: faulthandler.register, and on it goes
# stdout: ^went on$
# stderr: Current thread
# normalise: thread header
import faulthandler, os, signal
faulthandler.register(signal.SIGUSR1)
os.kill(os.getpid(), signal.SIGUSR1)
print("went on")

# %% faulthandler_dump_later_exits: dump_traceback_later with exit=True
# ends: 1
# stderr: ^Timeout
# normalise: thread header
import faulthandler, time
print("never seen")
faulthandler.dump_traceback_later(0.05, exit=True)
time.sleep(30)

# %% faulthandler_dump_later_pending: a dump that is not due when the program ends
# stdout: ^in time$
import faulthandler
faulthandler.dump_traceback_later(3600, exit=True)
print("in time")

# %% faulthandler_dump_later_repeats: dumps that repeat while the program ends
# stderr: Timeout
# sorted: stderr
# replace: (?s)\A.*Timeout.*\Z => dumped
import faulthandler, time
faulthandler.dump_traceback_later(0.02, repeat=True)
time.sleep(0.2)

# %% sigpipe_restored: the default of SIGPIPE, as a command line tool sets it
# run: $PY program.py | head -1; echo "${PIPESTATUS[@]}"
# stdout: ^141 0$
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
while True:
    print("yes")

# %% sigxcpu_handled: the soft limit of processor time
# run: ulimit -S -t 1; exec $PY program.py
# ends: 7
# stdout: ^enough$
import signal, sys
def enough(*_):
    print("enough")
    sys.exit(7)
signal.signal(signal.SIGXCPU, enough)
while True:
    pass

# %% wakeup_descriptor: signal.set_wakeup_fd as it ends
# stdout: ^\d+$
import os, signal, socket
ours, theirs = socket.socketpair()
ours.setblocking(False), theirs.setblocking(False)
signal.set_wakeup_fd(ours.fileno())
signal.signal(signal.SIGUSR1, lambda *_: None)
os.kill(os.getpid(), signal.SIGUSR1)
print(theirs.recv(1)[0])

# %% wakeup_descriptor_closed: the descriptor was closed before a signal came
# stderr: Exception ignored when trying to write to the signal wakeup fd
import os, signal
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
signal.signal(signal.SIGUSR1, lambda *_: None)
os.close(writer)
os.kill(os.getpid(), signal.SIGUSR1)

# %% signal_blocked_and_pending: a signal that is blocked when the program ends
# stdout: ^done$
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
print("done")

# %% signal_waited_for: signal.sigwait
# ends: 3
# stdout: ^got 10$
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.kill(os.getpid(), signal.SIGUSR1)
print("got", int(signal.sigwait([signal.SIGUSR1])))
sys.exit(3)

# %% timeout_command: coreutils' timeout ends it
# run: timeout -s TERM 0.5 $PY program.py
# needs: timeout
# ends: 124
# stdout: ^started$
import time
print("started", flush=True)
time.sleep(30)
