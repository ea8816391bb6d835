/* What a thread state says of its thread. PyO3 does not declare the fields. */
#include <Python.h>

/* The state of Python's main thread, which is the oldest. Call it with the interpreter's lock. */
PyThreadState *rtfinalize_pyo3_main_state(void)
{
    PyThreadState *oldest = NULL, *each;
    PyInterpreterState *interpreter = PyInterpreterState_Main();
    for (each = PyInterpreterState_ThreadHead(interpreter); each != NULL; each = PyThreadState_Next(each)) {
        oldest = each;
    }
    return oldest;
}

/* Of whichever thread has the interpreter's lock; until 3.11 that may be another one. */
static PyThreadState *present_state(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

/* Whether the calling thread is in Python, also if it has let the interpreter's lock go for a while. Python's main
 * thread has a state all the time, and counts one more for each PyGILState_Ensure. */
int rtfinalize_pyo3_is_inside(const PyThreadState *main_state)
{
    const PyThreadState *own = PyGILState_GetThisThreadState();
    return own != NULL && (own != main_state || own->gilstate_counter > 1 || own == present_state());
}
