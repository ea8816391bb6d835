"""Destructors, weak references and the collector, at the end and before it."""

# %% del_of_global: __del__ of a global
# stdout: ^main\ngone$
class Last:
    def __del__(self):
        print("gone")
last = Last()
print("main")

# %% del_of_several_globals: the order in which globals go
# stdout: ^gone
class Last:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("gone", self.name)
a, b, _c, d = map(Last, "abcd")

# %% del_raises: an exception in __del__
# stderr: Exception ignored in: <function Last.__del__
# normalise: address
class Last:
    def __del__(self):
        raise ValueError("in __del__")
last = Last()

# %% del_exits: sys.exit in __del__
# ends: 0
# stderr: SystemExit: 5
# normalise: address
import sys
class Last:
    def __del__(self):
        sys.exit(5)
last = Last()

# %% del_uses_os_exit: os._exit in __del__ at the end
# ends: 5
# stdout: ^main$
import os
class Last:
    def __del__(self, end=os._exit):
        end(5)
last = Last()
print("main", flush=True)

# %% del_of_object_in_builtins: __del__ of what builtins refer to, and a global that it needs
# stdout: ^helped$
import builtins
class Last:
    def __del__(self):
        helper.call()
class helper:
    def call():
        print("helped")
builtins.last = Last()

# %% del_imports: an import in __del__ at the end
# normalise: address
import sys
class Last:
    def __del__(self):
        import colorsys
        print(colorsys.__name__)
last = Last()
sys.keep = last

# %% del_opens_file: open() in __del__ at the end
# normalise: address
import sys
class Last:
    def __del__(self):
        with open("log", "w") as file:
            file.write("opened late\n")
sys.keep = Last()

# %% del_prints_very_late: print in __del__ of an object of sys
# normalise: address
import sys
class Last:
    def __del__(self):
        print("very late")
sys.keep = Last()

# %% del_in_cycle: __del__ in a cycle
# stdout: ^gone$
class Node:
    def __del__(self):
        print("gone")
node = Node()
node.self = node

# %% del_in_cycle_with_gc_off: a cycle, and the collector is off
# stdout: ^gone$
import gc
gc.disable()
class Node:
    def __del__(self):
        print("gone")
node = Node()
node.self = node
del node

# %% del_resurrects: __del__ that keeps its object
# stdout: ^kept$
kept = []
class Last:
    def __del__(self):
        print("kept")
        kept.append(self)
last = Last()

# %% del_in_module_of_import: a global of an imported module
# stdout: ^program\ngone program\ngone helper$
import helper
print("program")
class Last:
    def __del__(self):
        print("gone program")
last = Last()
# --- helper.py
class Last:
    def __del__(self):
        print("gone helper")
last = Last()

# %% del_starts_thread: a thread started in __del__ at the end
# stderr: PythonFinalizationError: can't create new thread at interpreter shutdown
# normalise: address
import threading
class Last:
    def __del__(self):
        thread = threading.Thread(target=print, args=["late"])
        thread.start()
        thread.join()
last = Last()

# %% del_takes_lock: __del__ that takes a lock which is free
# stdout: ^taken$
import threading
lock = threading.Lock()
class Last:
    def __del__(self):
        with lock:
            print("taken")
last = Last()

# %% del_of_thread_object: __del__ of what a thread returned
# stdout: ^gone$
import threading
class Last:
    def __del__(self):
        print("gone")
threading.Thread(target=lambda last: None, args=[Last()]).start()

# %% del_in_generator: __del__ of what a suspended generator refers to
# stdout: ^gone$
class Last:
    def __del__(self):
        print("gone")
def numbers():
    last = Last()
    yield 1
generator = numbers()
next(generator)

# %% weakref_callback_at_exit: the callback of a weak reference
# stdout: ^main$
import weakref
class Thing:
    pass
thing = Thing()
reference = weakref.ref(thing, lambda _: print("gone"))
print("main")

# %% weakref_callback_raises: a callback that fails
# stderr: Exception ignored in
# normalise: address
import weakref
class Thing:
    pass
def fail(_):
    raise ValueError("callback")
thing = Thing()
reference = weakref.ref(thing, fail)
del thing

# %% finalize_at_exit: weakref.finalize runs at exit
# stdout: ^main\nfinalized 1$
import weakref
class Thing:
    pass
thing = Thing()
weakref.finalize(thing, print, "finalized", 1)
print("main")

# %% finalize_without_atexit: weakref.finalize with atexit = False
# stdout: ^main$
import weakref
class Thing:
    pass
thing = Thing()
weakref.finalize(thing, print, "finalized").atexit = False
print("main")

# %% finalize_order: finalizers and exit callbacks together
# stdout: ^c\nb\na$|^[abc]\n
import atexit, weakref
class Thing:
    pass
thing, other = Thing(), Thing()
weakref.finalize(thing, print, "a")
atexit.register(print, "b")
weakref.finalize(other, print, "c")

# %% finalize_raises: a finalizer that fails
# stdout: ^still$
# stderr: ZeroDivisionError
import weakref
class Thing:
    pass
thing = Thing()
weakref.finalize(thing, print, "still")
weakref.finalize(thing, lambda: 1 / 0)

# %% weak_dictionary_at_exit: a WeakValueDictionary
# stdout: ^\['a'\]$
import weakref
class Thing:
    def __del__(self):
        things.get("a")
thing = Thing()
things = weakref.WeakValueDictionary(a=thing)
print(list(things))

# %% collector_callback_at_exit: gc.callbacks as the program ends
# stdout: ^start$|start
import gc
gc.callbacks.append(lambda phase, told: print(phase))

# %% collector_debug: gc.set_debug(DEBUG_STATS)
# stderr: gc: (done|collecting)
# replace: \d+\.\d+s elapsed => N elapsed
# replace: \d+ => N
import gc
gc.set_debug(gc.DEBUG_STATS)

# %% collector_uncollectable: DEBUG_SAVEALL tells of what is left
import gc
gc.set_debug(gc.DEBUG_SAVEALL)
class Node:
    pass
node = Node()
node.self = node
del node
gc.collect()

# %% collector_frozen: gc.freeze before the end
import gc
class Node:
    def __del__(self):
        print("gone")
node = Node()
node.self = node
gc.freeze()

# %% context_variable_at_exit: a value of a ContextVar is not destroyed
import contextvars
class Value:
    def __del__(self):
        print("gone")
variable = contextvars.ContextVar("variable")
variable.set(Value())
