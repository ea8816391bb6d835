"""Threads that come too late are parked, and a thread state is deleted only when nobody looks at it."""

from tree import After, Before, Edit, Edits, Replace, ReplaceLines

LATE = r"_?PyThread_(?:exit|hang)_thread\(\);"
CONSISTENT = r"\s*\}\s*assert\(_PyThreadState_CheckConsistency\(tstate\)\);\s*"


def park(what_follows: str, text: str = "_PyRt_Park(tstate);") -> Edit:
    return Replace(LATE + rf"(?={CONSISTENT}{what_follows})", text, within="take_gil")


EDITS: Edits = {
    "Include/internal/pycore_tstate.h": [
        After(r"    PyObject \*asyncio_running_loop;", """
    uint32_t rt_life; // the life of Python it was made in
    int rt_parked;    // its thread will never run again
"""),
    ],
    "Python/ceval_gil.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        park("PyInterpreterState"),
        park("_Py_set_eval_breaker_bit", "_Py_atomic_add_int(&_PyRt_Waiting, -1);\n"
             "                _PyRt_Park(tstate);"),
        park(r"tstate->_status\.holds_gil"),
        Before(r"    while \(_Py_atomic_load_int_relaxed\(&gil->locked\)\) \{", """
    int waits = _Py_atomic_load_int_relaxed(&gil->locked);
    if (waits) {
        _Py_atomic_add_int(&_PyRt_Waiting, 1);
    }
""", within="take_gil"),
        Before(r"        COND_SIGNAL\(gil->cond\);", """
        if (waits) {
            _Py_atomic_add_int(&_PyRt_Waiting, -1);
        }
""", within="take_gil"),
        Before(r"    /\* We now hold the GIL \*/", """
    if (waits) {
        _Py_atomic_add_int(&_PyRt_Waiting, -1);
    }
""", within="take_gil"),
    ],
    "Python/pystate.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        After(r"    _tstate->asyncio_running_loop = NULL;", """
    _tstate->rt_life = _PyRt_Life;
    _tstate->rt_parked = 0;
""", within="init_threadstate"),
        After(r"    HEAD_LOCK\(interp->runtime\);", """
    if (!_PyRt_AdmitsThreadState()) {
        HEAD_UNLOCK(interp->runtime);
        _PyRt_Park(NULL);
    }
""", within="new_threadstate"),
        After(r"^_PyThreadState_MustExit\(PyThreadState \*tstate\)\n\{", """
    /* The state is still there: that of a thread that may come back is never deleted. */
    if (((_PyThreadStateImpl *)tstate)->rt_life != _PyRt_Life) {
        return 1;
    }
"""),
        # Its key went while the thread was on its way in.
        Before(r'        Py_FatalError\("failed to set current tstate \(TSS\)"\);', """
        if (_PyRt_IsFrozen()) {
            _PyRt_Park(NULL);
        }
""", within="gilstate_tss_set"),
        After(r"        /\* Create a new Python thread state for this thread \*/",
              "        _PyRt_Admit(runtime->gilstate.autoInterpreterState);", within="PyGILState_Ensure"),
    ],
    "Modules/_threadmodule.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        Before(r"^static int\nset_done\(ThreadHandle \*handle\)", '#include "threadmodule.h"\n\n'),
        ReplaceLines(r"        if \(ThreadHandle_join\(handle, -1\) < 0\) \{", """
        int joined = rt_join(handle);
        if (joined > 0) {
            ThreadHandle_decref(handle);
            break;
        }
        if (joined < 0) {
""", within="thread_shutdown"),
    ],
}
