"""atexit, PyUnstable_AtExit: the library has the order and makes the calls."""

from tree import After, Before, Edits, Replace, ReplaceFunction

EDITS: Edits = {
    "Include/internal/pycore_atexit.h": [
        After(r"    PyObject \*kwargs;", """
    struct atexit_state *rt_state;
    uint64_t rt_id; // its number in the library, 0 when it has none there
"""),
        After(r"^struct atexit_state \{", """
    struct rt_runtime *rt; // the interpreter's runtime in the library, NULL for the default one
    int32_t rt_order;      // of the last PyUnstable_AtExit function
    int rt_outlived;       // threads of a subinterpreter may still look at it when it has ended
"""),
    ],
    "Modules/atexitmodule.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        Before(r"^int\nPyUnstable_AtExit\(", """
static void atexit_delete_cb(struct atexit_state *state, int i);
#include "atexit.h"

"""),
        ReplaceFunction("PyUnstable_AtExit", """
    PyThreadState *tstate = _PyThreadState_GET();
    _Py_EnsureTstateNotNULL(tstate);
    assert(tstate->interp == interp);
    return rt_at_interpreter_exit(interp, func, data);
"""),
        Before(r"    Py_DECREF\(cb->func\);", "    rt_unregistered(state, cb);", within="atexit_delete_cb"),
        Replace(r"return _PyStatus_OK\(\);", "return rt_init(interp);", within="_PyAtExit_Init"),
        After(r"    state->callbacks\[state->ncallbacks\+\+\] = callback;",
              "    rt_registered(state, callback);", within="atexit_register"),
    ],
}
