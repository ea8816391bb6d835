"""Hooks, modules, ctypes and subinterpreters while the interpreter is taken down."""

# %% unraisable_hook: sys.unraisablehook replaced
# stdout: ^ignored ValueError in Last.__del__$
import sys
sys.unraisablehook = lambda told: print("ignored", told.exc_type.__name__, "in", told.object.__qualname__)
class Last:
    def __del__(self):
        raise ValueError
last = Last()
del last

# %% unraisable_hook_at_exit: sys.unraisablehook is not called for a __del__ at the very end
import sys
sys.unraisablehook = lambda told: print("ignored", told.exc_type.__name__)
class Last:
    def __del__(self):
        raise ValueError
last = Last()

# %% unraisable_hook_raises: an unraisablehook that fails
# stderr: Exception ignored in sys.unraisablehook
# normalise: address
import sys
def hook(told):
    raise RuntimeError("hook")
sys.unraisablehook = hook
class Last:
    def __del__(self):
        raise ValueError
last = Last()
del last

# %% module_cleared_by_program: sys.modules.clear()
# stdout: ^done$
# normalise: address
import sys
print("done")
sys.modules.clear()

# %% module_replaced_by_object: an object in sys.modules
# stdout: ^done$
import sys
class Module:
    pass
sys.modules["mine"] = Module()
sys.modules["nothing"] = None
print("done")

# %% main_removed: __main__ is taken out of sys.modules
# stdout: ^gone$
import sys
class Last:
    def __del__(self):
        print("gone")
last = Last()
del sys.modules["__main__"]

# %% builtins_replaced: builtins.print is replaced as it ends
# stdout: ^gone$
import builtins
say = print
builtins.print = lambda text: say(f"<{text}>")
class Last:
    def __del__(self):
        print("gone")
last = Last()

# %% ctypes_callback: a callback of ctypes that is there at the end
# stdout: ^\[1, 2, 3\]$
import ctypes
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(
    lambda a, b: a[0] - b[0])
numbers = (ctypes.c_int * 3)(3, 1, 2)
ctypes.CDLL(None).qsort(numbers, 3, ctypes.sizeof(ctypes.c_int), compare)
print(list(numbers))

# %% ctypes_callback_fails: a callback of ctypes that raises
# stderr: Exception ignored on calling ctypes callback function
# normalise: address
import ctypes
@ctypes.CFUNCTYPE(ctypes.c_int)
def fail():
    raise ValueError("callback")
fail()

# %% ctypes_exit_function: exit() of libc in the middle of a program
# ends: 6
import atexit, ctypes
atexit.register(print, "never")
print("lost")
ctypes.CDLL(None).exit(6)

# %% ctypes_atexit_function: a C function by libc's atexit
# stdout: ^python\nlibc$
import ctypes
libc = ctypes.CDLL(None)
libc.puts.argtypes = [ctypes.c_char_p]
@ctypes.CFUNCTYPE(None)
def last():
    pass
print("python")
import sys
sys.stdout.flush()
libc.puts(b"libc")

# %% profile_function_at_exit: sys.setprofile is set as it ends
# stdout: ^\d+$
import sys
events = []
sys.setprofile(lambda frame, event, argument: events.append(event))
len([])
print(len(events))

# %% trace_function_at_exit: sys.settrace is set as it ends
# stdout: ^main$
import sys
def trace(frame, event, argument):
    return trace
sys.settrace(trace)
class Last:
    def __del__(self):
        len("x")
last = Last()
print("main")

# %% audit_hook_at_exit: sys.addaudithook hears of the end
# stdout: cpython._PySys_ClearAuditHooks|main
import sys
def hook(event, arguments, print=print):
    if event.startswith("cpython."):
        print(event)
sys.addaudithook(hook)
print("main")

# %% audit_hook_fails_at_exit: an audit hook that raises
# ends: 1
# stderr: RuntimeError: no
import sys
def hook(event, arguments):
    if event == "open":
        raise RuntimeError("no")
sys.addaudithook(hook)
open("log", "w")

# %% exit_stack_left: a contextlib.ExitStack that is never left
# stdout: ^main$
import contextlib
stack = contextlib.ExitStack()
stack.callback(print, "never")
print("main")

# %% locale_set: locale.setlocale as it ends
# stdout: ^main$
import locale
locale.setlocale(locale.LC_ALL, "")
print("main")

# %% subinterpreter_ended: a subinterpreter that is destroyed
# stdout: ^inside\nmain$
import _interpreters
one = _interpreters.create()
_interpreters.exec(one, "print('inside', flush=True)")
_interpreters.destroy(one)
print("main")

# %% subinterpreter_left: a subinterpreter that nobody destroys
# stdout: ^inside\nmain$
import _interpreters
one = _interpreters.create()
_interpreters.exec(one, "print('inside', flush=True)")
print("main")

# %% subinterpreter_with_exit_callback: exit callbacks of a subinterpreter
# stdout: ^main\ninside$|inside
import _interpreters
one = _interpreters.create()
_interpreters.exec(one, "import atexit; atexit.register(print, 'inside', flush=True)")
print("main", flush=True)

# %% subinterpreter_fails: an exception in a subinterpreter
# stdout: ^ValueError$
import _interpreters
one = _interpreters.create()
told = _interpreters.exec(one, "raise ValueError('inside')")
print(told.type.__name__)
_interpreters.destroy(one)

# %% subinterpreter_with_thread: a thread in a subinterpreter
# stdout: ^thread\nmain$
import _interpreters
one = _interpreters.create()
_interpreters.exec(one, """
import threading
thread = threading.Thread(target=print, args=['thread'], kwargs={'flush': True})
thread.start()
thread.join()
""")
_interpreters.destroy(one)
print("main")

# %% subinterpreter_with_text: text in the buffer of a subinterpreter's standard output
# stdout: ^main$|inside
import _interpreters
one = _interpreters.create()
_interpreters.exec(one, "print('inside')")
_interpreters.destroy(one)
print("main")

# %% subinterpreter_with_file: an open file of a subinterpreter
# stdout: ^main$
import _interpreters
one = _interpreters.create()
_interpreters.exec(one, "file = open('log', 'w'); file.write('inside\\n')")
_interpreters.destroy(one)
print("main")

# %% subinterpreters_many: ten subinterpreters, one after the other
# stdout: ^10$
import _interpreters
for _ in range(10):
    one = _interpreters.create()
    _interpreters.exec(one, "import json")
    _interpreters.destroy(one)
print(10)

# %% one_thread_only: no second thread as the program ends
# stdout: ^1$
import atexit, os
atexit.register(lambda: print(len(os.listdir("/proc/self/task"))))

# %% one_thread_only_in_del: no second thread while __del__ runs
# stdout: ^1$
import os
class Last:
    def __del__(self, list=os.listdir):
        print(len(list("/proc/self/task")))
last = Last()

# %% descriptors_as_before: no more descriptors in an exit callback than before
# stdout: ^0 1 2 3\n0 1 2 3$
import atexit, os
def told():
    print(*sorted(os.listdir("/proc/self/fd"), key=int))
told()
atexit.register(told)

# %% signal_mask_as_before: signals are not blocked in an exit callback
# stdout: ^set\(\)\nset\(\)$
import atexit, signal
def told():
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
told()
atexit.register(told)
