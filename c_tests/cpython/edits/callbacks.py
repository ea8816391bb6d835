"""atexit, PyUnstable_AtExit: the library has the order and makes the calls."""

from tree import After, Before, Edits, Replace, ReplaceFunction

EDITS: Edits = {
    "Include/internal/pycore_atexit.h": [
        After(r"    PyObject \*kwargs;", """
    uint64_t rt_id; // its number in the library, 0 when it has none there
"""),
        After(r"^struct atexit_state \{", """
    struct rt_runtime *rt; // the interpreter's runtime in the library, NULL for the default one
    int32_t rt_order;      // of the last PyUnstable_AtExit function
    int rt_handed_over;    // its callbacks are the library's to call
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
        Replace(r"    atexit_callfuncs\(state\);", """
    if (state->rt_handed_over) {
        atexit_cleanup(state); /* they have been called */
    }
    else {
        atexit_callfuncs(state);
    }
""".strip("\n"), within="_PyAtExit_Call"),
        Replace(r"return _PyStatus_OK\(\);", "return rt_init(interp);", within="_PyAtExit_Init"),
        After(r"    state->callbacks\[state->ncallbacks\+\+\] = callback;", "    callback->rt_id = 0;",
              within="atexit_register"),
    ],
}
