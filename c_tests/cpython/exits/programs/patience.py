"""Programs whose end takes seconds: readers that pause, threads and callbacks that have work to do."""

# %% pager_pauses_in_eight_ways: the last text waits for a reader that comes back after two seconds
# run: slow() { sleep 2; tail -n 1 | cut -c 1-9; }
# run: mkdir app; cp program.py app/__main__.py; mkfifo fifo
# run: { $PY program.py; echo $? >code1; } | slow >out1 &
# run: { $PY app; echo $? >code2; } | slow >out2 &
# run: { $PY -m program callback; echo $? >code3; } | slow >out3 &
# run: { $PY program.py thread; echo $? >code4; } | slow >out4 &
# run: { $PY program.py del; echo $? >code5; } | slow >out5 &
# run: { $PY program.py child; echo $? >code6; } >out6 &
# run: { $PY program.py fifo; echo $? >code7; } & { exec <fifo; slow >out7; } &
# run: { $PY program.py error; echo $? >code8; } 2>&1 >/dev/null | slow >out8 &
# run: wait; rm -r app fifo; cat out? code?
# stdout: ^(the end\n){8}(0\n){8}$
import sys

def show(out):
    out.buffer.write(b"x" * 65535 + b"\n")
    out.write("the end\n")

how = sys.argv[1] if len(sys.argv) > 1 else ""
if how == "callback":
    import atexit
    atexit.register(show, sys.stdout)
elif how == "thread":
    import threading
    def work():
        threading.main_thread().join()
        show(sys.stdout)
    threading.Thread(target=work).start()
elif how == "del":
    class Last:
        def __del__(self, out=sys.stdout, show=show):
            show(out)
    last = Last()
elif how == "child":
    import subprocess
    pager = subprocess.Popen("sleep 2; tail -n 1 | cut -c 1-9", shell=True, stdin=subprocess.PIPE, text=True)
    show(pager.stdin)
elif how == "fifo":
    out = open("fifo", "w")
    show(out)
else:
    show(sys.stderr if how == "error" else sys.stdout)

# %% pager_pauses_for_longer: a reader that comes back after four seconds, and an exit code of the script's own
# run: $PY program.py | (sleep 4; tail -n 1 | cut -c 1-9); echo "${PIPESTATUS[@]}"
# stdout: ^the end\n3 0$
import sys
sys.stdout.buffer.write(b"x" * 65535 + b"\n")
print("the end")
sys.exit(3)

# %% pager_pauses_on_text_file: an open file on a pipe whose reader pauses
# run: $PY program.py 3> >(sleep 2; tail -n 1 | cut -c 1-9 >last; echo >done); code=$?; until [ -s done ]; do sleep 0.05; done
# run: cat last; exit $code
# stdout: ^the end$
file = open(3, "w")
file.write("x" * 70000 + "\n")
file.flush()
file.write("x" * 8000 + "\nthe end\n")

# %% thread_takes_six_seconds: a thread that goes on for longer than five seconds after the main thread
# stdout: ^done$
import threading, time
def work():
    threading.main_thread().join()
    time.sleep(5.5)
    print("done")
threading.Thread(target=work).start()

# %% callback_and_del_take_six_seconds: an exit callback and a destructor that take longer than five seconds
# run: $PY program.py callback & $PY program.py del & wait
# stdout: ^done\ndone$
import sys, time
def work(sleep=time.sleep, print=print):
    sleep(5.5)
    print("done", flush=True)
class Slow:
    def __del__(self, work=work):
        work()
if sys.argv[1] == "callback":
    import atexit
    atexit.register(work)
else:
    slow = Slow()

# %% data_file_is_descriptor_two: a service without stderr, whose data file got descriptor 2
# run: $PY program.py 2>&-
import threading, time
data = open("data", "wb", buffering=0)
assert data.fileno() == 2
data.write(b"the record\n")
threading.Thread(target=time.sleep, args=[5.5]).start()
