"""Exit callbacks."""

# %% exit_callbacks_in_order: the last one registered runs first
# stdout: ^3\n2\n1$
import atexit
for number in (1, 2, 3):
    atexit.register(print, number)

# %% exit_callback_unregistered: atexit.unregister
# stdout: ^kept$
import atexit
def gone():
    print("gone")
atexit.register(gone)
atexit.register(print, "kept")
atexit.register(gone)
atexit.unregister(gone)

# %% exit_callback_raises: an exception, and the others run
# stdout: ^first\nlast$
# stderr: Exception ignored in atexit callback
# normalise: address
import atexit
atexit.register(print, "last")
@atexit.register
def fails():
    raise ValueError("callback")
atexit.register(print, "first")

# %% exit_callback_exits: sys.exit in an exit callback does not change the code
# ends: 0
# stdout: ^last$
# stderr: SystemExit: 9
# normalise: address
import atexit, sys
atexit.register(print, "last")
atexit.register(sys.exit, 9)

# %% exit_callback_uses_os_exit: os._exit in an exit callback
# ends: 8
import atexit, os
atexit.register(print, "never")
atexit.register(os._exit, 8)

# %% exit_callback_registers: an exit callback that registers another, which this release never calls
# stdout: ^one$
import atexit
def one():
    print("one")
    atexit.register(print, "two")
atexit.register(one)

# %% exit_callback_registers_itself: an exit callback that registers itself a few times
# stdout: ^0$
import atexit
def again(number):
    print(number)
    if number < 5:
        atexit.register(again, number + 1)
atexit.register(again, 0)

# %% exit_callback_registers_endlessly: an exit callback that registers itself again and again
# stdout: ^\d+$
import atexit
calls = 0
def again():
    global calls
    calls += 1
    if calls < 1000:
        atexit.register(again)
class Told:
    def __del__(self):
        print(calls)
told = Told()
atexit.register(again)

# %% exit_callback_unregisters: an exit callback that takes another away
# stdout: ^first$
import atexit
def other():
    print("never")
atexit.register(other)
@atexit.register
def first():
    print("first")
    atexit.unregister(other)

# %% exit_callback_clears: atexit._clear in an exit callback
# stdout: ^first$
import atexit
atexit.register(print, "never")
@atexit.register
def first():
    print("first")
    atexit._clear()

# %% exit_callback_counts: atexit._ncallbacks
# stdout: ^3\n3$|^3\n\d$
import atexit
atexit.register(str)
atexit.register(lambda: print(atexit._ncallbacks()))
atexit.register(str)
print(atexit._ncallbacks())

# %% exit_callbacks_run_by_hand: atexit._run_exitfuncs
# stdout: ^callback\nmain$
import atexit
atexit.register(print, "callback")
atexit._run_exitfuncs()
print("main")

# %% exit_callback_after_exception: exit callbacks run after a traceback
# ends: 1
# stdout: ^callback$
# stderr: ^ValueError$
import atexit
atexit.register(print, "callback")
raise ValueError

# %% exit_callback_imports: an import in an exit callback
# stdout: ^\[1\]$
import atexit
@atexit.register
def late():
    import json
    print(json.dumps([1]))

# %% exit_callback_with_thread_pool: a thread pool in an exit callback
# stderr: can't register atexit after shutdown
# normalise: address
import atexit, concurrent.futures
@atexit.register
def late():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        print(pool.submit(str).result())

# %% exit_callbacks_many: ten thousand exit callbacks
# stdout: ^10000$
import atexit
calls = []
atexit.register(lambda: print(len(calls)))
for number in range(10000):
    atexit.register(calls.append, number)

# %% exit_callback_holds_object: an object that only an exit callback refers to
# stdout: ^called\ngone$
import atexit
class Held:
    def call(self):
        print("called")
    def __del__(self):
        print("gone")
atexit.register(Held().call)

# %% exit_callback_of_sys_exitfunc: print and stderr in an exit callback
# stdout: ^out$
# stderr: ^err$
import atexit, sys
@atexit.register
def both():
    print("out")
    print("err", file=sys.stderr)
