"""Threads that come too late are parked, and a thread state is deleted only when nobody looks at it."""

import re

from tree import After, Before, Edit, Edits, Replace, ReplaceLines

LATE = r"_?PyThread_(?:exit|hang)_thread\(\);"
CONSISTENT = r"\s*\}\s*assert\(_PyThreadState_CheckConsistency\(tstate\)\);\s*"


class LateThreadsOfRelease(After):
    """What this release does with a thread that comes too late."""

    def apply(self, text: str) -> str:
        ends = re.search(r"\bPyThread_exit_thread\(\);", text) is not None
        return After(self.anchor, f"const int _PyRt_LateThreadsEndInRelease = {ends:d};").apply(text)


def park(what_follows: str, text: str = "_PyRt_Park(tstate);") -> Edit:
    return Replace(LATE + rf"(?={CONSISTENT}{what_follows})", text, within="take_gil")


EDITS: Edits = {
    "Include/internal/pycore_tstate.h": [
        After(r"    PyObject \*asyncio_running_loop;", """
    uint32_t rt_life; // the life of Python it was made in
    int rt_waits;     // its thread waits to be let in, and sees soon whether it comes too late
    int rt_parked;    // its thread will never run again
"""),
    ],
    "Python/ceval_gil.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        LateThreadsOfRelease(r'^#include "adapter.h"'),
        park("PyInterpreterState"),
        park("_Py_set_eval_breaker_bit"),
        park(r"tstate->_status\.holds_gil"),
        Before(r"    while \(_Py_atomic_load_int_relaxed\(&gil->locked\)\) \{",
               "    _PyRt_Waits(tstate, 1);", within="take_gil"),
        Before(r"        COND_SIGNAL\(gil->cond\);", "        _PyRt_Waits(tstate, 0);", within="take_gil"),
        Before(r"    tstate->_status\.holds_gil = 1;", "    _PyRt_Waits(tstate, 0);", within="take_gil"),
        # A thread that stops for the freeze.
        Before(r"        _PyThreadState_Suspend\(tstate\);", "        _PyRt_Waits(tstate, 1);",
               within="_Py_HandlePending"),
    ],
    "Python/lock.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        Before(r"        int ret = _PyParkingLot_Park\(&m->_bits", """
        _PyRt_Mutex awaited = {m, &entry.handed_off, _PyRt_Mutexes};
        _PyRt_Mutexes = &awaited;
""", within="_PyMutex_LockTimed"),
        Before(r"        if \(ret == Py_PARK_OK\) \{", "        _PyRt_Mutexes = awaited.outer;",
               within="_PyMutex_LockTimed"),
    ],
    # A thread that ends as it comes back must not leave the entry of its wait behind, which is on its stack.
    "Python/parking_lot.c": [
        Before(r"    int res = _PySemaphore_Wait\(&wait\.sema, timeout_ns, detach\);", """
    PyThreadState *detached = detach ? _PyThreadState_GET() : NULL;
    if (detached != NULL && _Py_atomic_load_int_relaxed(&detached->state) != _Py_THREAD_ATTACHED) {
        detached = NULL;
    }
    if (detached != NULL) {
        PyEval_ReleaseThread(detached);
    }
    detach = 0;
""", within="_PyParkingLot_Park"),
        After(r"    _PySemaphore_Destroy\(&wait\.sema\);", """
    if (detached != NULL) {
        PyEval_AcquireThread(detached);
    }
""", within="_PyParkingLot_Park"),
    ],
    "Python/tracemalloc.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        *(After(rf"^{name}\([^{{]*\{{", """
    /* Native code reports what it frees until the process is gone. */
    if (_PyRt_IsFrozen() && (!_PyRt_AdmitsThreadState() || !tracemalloc_config.tracing)) {
        return -2;
    }
""") for name in ("PyTraceMalloc_Track", "PyTraceMalloc_Untrack")),
    ],
    "Modules/posixmodule.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        Replace(r"num_python_threads = atoi\(field\);", "num_python_threads = atoi(field) - (int)rt_watch_threads();",
                within="warn_about_fork_with_threads"),
    ],
    "Python/pystate.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        After(r"    _tstate->asyncio_running_loop = NULL;", """
    _tstate->rt_life = _PyRt_Life;
    _tstate->rt_waits = 0;
    _tstate->rt_parked = 0;
""", within="init_threadstate"),
        After(r"    HEAD_LOCK\(interp->runtime\);", """
    if (!_PyRt_AdmitsThreadState()) {
        HEAD_UNLOCK(interp->runtime);
        PyThreadState *current = current_fast_get();
        if (current != NULL) {
            _PyThreadState_Detach(current); // its interpreter may have a lock of its own
        }
        _PyRt_Park(current);
    }
""", within="new_threadstate"),
        Before(r"    // Re-initialize global locks", "    _PyRt_AfterFork();", within="_PyRuntimeState_ReInitThreads"),
        Before(r"    do \{", "    _PyRt_Waits(tstate, 1);", within="tstate_wait_attach"),
        Before(r"        // Once we're back in DETACHED", """
        if (_Py_atomic_load_int(&tstate->state) == _PyRt_THREAD_LATE) {
            tstate_deactivate(tstate);
            current_fast_clear(&_PyRuntime);
            _PyRt_Park(tstate);
        }
""", within="tstate_wait_attach"),
        Before(r"        _Py_qsbr_attach\(", "        _PyRt_Waits(tstate, 0);", within="_PyThreadState_Attach"),
        # Who wants to stop the world may wait for one that does already, which ends with the freeze.
        Before(r"    if \(stw->is_global\) \{", """
    static const int is_mine = 1;
    _PyRt_Mutex stopper = {&stw->mutex, &is_mine, _PyRt_Mutexes};
    _PyRt_Mutexes = &stopper;
""", within="stop_the_world"),
        Before(r"    HEAD_LOCK\(runtime\);\n    stw->requested = 1;", "    _PyRt_Mutexes = stopper.outer;",
               within="stop_the_world"),
        After(r"^_PyThreadState_MustExit\(PyThreadState \*tstate\)\n\{", """
    /* The state is still there: that of a thread that may come back is never deleted. */
    if (((_PyThreadStateImpl *)tstate)->rt_life != _PyRt_Life) {
        return 1;
    }
"""),
        # A thread that waits for the interpreter's lock looks at the interpreter once more before it is parked.
        Replace(r"if \(interp != &_PyRuntime\._main_interpreter\)",
                "if (interp != &_PyRuntime._main_interpreter && !interp->atexit.rt_outlived)",
                within="free_interpreter"),
        # Before what is only true of a Python that runs.
        Before(r"    /\* Ensure that _PyEval_InitThreads\(\)", """
    if (_PyRt_IsFrozen() || !gilstate_tss_initialized(runtime)) {
        if (!gilstate_tss_initialized(runtime) || gilstate_tss_get(runtime) == NULL) {
            _PyRt_Admit(runtime->gilstate.autoInterpreterState);
        }
    }
""", within="PyGILState_Ensure"),
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
