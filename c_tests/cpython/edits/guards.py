"""PEP 788: guards, views and the thread states that go with them, declared by Python.h."""

from tree import After, Before, Edits

EDITS: Edits = {
    "Include/cpython/pystate.h": [
        After(r"^PyAPI_FUNC\(PyThreadState \*\) PyThreadState_GetUnchecked\(void\);", """

/* Guards, views and thread states of Python 3.15 (PEP 788): its documentation holds. */
typedef struct PyInterpreterGuard PyInterpreterGuard;
typedef struct PyInterpreterView PyInterpreterView;
typedef struct PyThreadStateToken PyThreadStateToken;

PyAPI_FUNC(PyInterpreterGuard *) PyInterpreterGuard_FromCurrent(void);
PyAPI_FUNC(PyInterpreterGuard *) PyInterpreterGuard_FromView(PyInterpreterView *view);
PyAPI_FUNC(void) PyInterpreterGuard_Close(PyInterpreterGuard *guard);

PyAPI_FUNC(PyInterpreterView *) PyInterpreterView_FromCurrent(void);
PyAPI_FUNC(PyInterpreterView *) PyInterpreterView_FromMain(void);
PyAPI_FUNC(void) PyInterpreterView_Close(PyInterpreterView *view);

PyAPI_FUNC(PyThreadStateToken *) PyThreadState_Ensure(PyInterpreterGuard *guard);
PyAPI_FUNC(PyThreadStateToken *) PyThreadState_EnsureFromView(PyInterpreterView *view);
PyAPI_FUNC(void) PyThreadState_Release(PyThreadStateToken *token);

"""),
    ],
    "Include/internal/pycore_atexit.h": [
        After(r"    struct rt_runtime \*rt;", "    struct rt_view *rt_view; // of this life of it"),
    ],
    "Include/internal/pycore_tstate.h": [
        After(r"    int rt_parked;", """
    int rt_ensured;    // PyThreadState_Ensure calls that are not released yet
    int rt_is_ensures; // the first of them made it, and the last release deletes it
    int rt_pinned_at;  // the call, counted from 1, whose guards these are
    struct rt_pins {
        struct rt_guard *own;
        struct rt_guard *main; // when the interpreter is another one
    } rt_pins;
"""),
    ],
    "Python/pystate.c": [
        After(r"    _tstate->rt_parked = 0;", """
    _tstate->rt_ensured = 0;
    _tstate->rt_is_ensures = 0;
    _tstate->rt_pinned_at = 0;
    _tstate->rt_pins = (struct rt_pins){NULL, NULL};
""", within="init_threadstate"),
        Before(r"^/\*+/\n/\* Other API \*/", '#include "guards.h"\n\n'),
    ],
}
