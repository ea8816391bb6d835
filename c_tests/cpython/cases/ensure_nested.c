// title: PyThreadState_Ensure inside another, detached, over PyGILState_Ensure and into another interpreter
// of: PEP 788
// stock: none
#include "host.h"

static PyInterpreterGuard *guard, *sub_guard;

static void want(int so, int code)
{
    if (!so) {
        exit(code);
    }
}

static PyThreadState *attached(void)
{
    return PyThreadState_GetUnchecked();
}

static PyThreadStateToken *ensure(PyInterpreterGuard *of)
{
    PyThreadStateToken *token = PyThreadState_Ensure(of);
    want(token != NULL && attached() != NULL, 80);
    host_run("import json; assert json.loads('[1]') == [1]");
    return token;
}

/* The thread has a state, which is attached: nothing changes. Detached: it is attached for a while. */
static void with_a_state(void)
{
    PyThreadState *own = attached();
    PyThreadStateToken *token = ensure(guard), *inner = ensure(guard);
    want(attached() == own, 81);
    PyThreadState_Release(inner);
    PyThreadState_Release(token);
    want(attached() == own, 82);

    PyEval_SaveThread();
    token = ensure(guard);
    want(attached() == own, 83);
    PyThreadState_Release(token);
    want(attached() == NULL, 84);
    PyEval_RestoreThread(own);
}

/* The former state is attached again after a stay in another interpreter. */
static void into_another_interpreter(void)
{
    PyThreadState *own = attached();
    PyThreadStateToken *token = ensure(sub_guard);
    PyThreadState *other = attached();
    want(other != own && PyThreadState_GetInterpreter(other) != PyThreadState_GetInterpreter(own), 85);
    PyThreadStateToken *back = ensure(guard);
    want(attached() != other, 86);
    PyThreadState_Release(back);
    want(attached() == other, 87);
    PyThreadState_Release(token);
    want(attached() == own, 88);
}

/* A destructor that calls in and out while its thread state is cleared. */
static void call_in_and_out(PyObject *capsule)
{
    PyInterpreterView *view = PyCapsule_GetPointer(capsule, NULL);
    PyThreadStateToken *token = PyThreadState_EnsureFromView(view);
    want(token != NULL, 89);
    PyThreadState_Release(token);
    PyInterpreterView_Close(view);
}

static void *native(void *unused)
{
    (void)unused;
    PyInterpreterView *view = PyInterpreterView_FromMain();
    PyThreadStateToken *token = PyThreadState_EnsureFromView(view);
    want(token != NULL, 90);
    with_a_state();
    into_another_interpreter();
    PyGILState_STATE state = PyGILState_Ensure();
    want(state == PyGILState_LOCKED, 91);
    PyGILState_Release(state);

    PyThreadState *self = PyEval_SaveThread();
    PyThreadStateToken *inner = PyThreadState_EnsureFromView(view);
    want(inner != NULL && attached() == self, 92);
    PyThreadState_Release(inner);
    want(attached() == NULL, 93);
    PyEval_RestoreThread(self);

    PyObject *capsule = PyCapsule_New(view, NULL, call_in_and_out);
    want(capsule != NULL && PyDict_SetItemString(PyThreadState_GetDict(), "last", capsule) == 0, 94);
    Py_DECREF(capsule);
    PyThreadState_Release(token);
    want(attached() == NULL && PyGILState_GetThisThreadState() == NULL, 95);

    state = PyGILState_Ensure();
    with_a_state();
    PyGILState_Release(state);
    want(attached() == NULL, 96);
    PyInterpreterGuard_Close(sub_guard);
    PyInterpreterGuard_Close(guard);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    host_start();
    PyThreadState *self = attached();
    guard = PyInterpreterGuard_FromCurrent();
    PyThreadState *sub = Py_NewInterpreter();
    want(guard != NULL && sub != NULL && (sub_guard = PyInterpreterGuard_FromCurrent()) != NULL, 97);
    PyThreadState_Swap(self);
    with_a_state();
    into_another_interpreter();
    PyEval_SaveThread();
    want(pthread_create(&thread, NULL, native, NULL) == 0, 98);
    pthread_join(thread, NULL);
    PyEval_RestoreThread(sub);
    Py_EndInterpreter(sub);
    PyThreadState_Swap(self);
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
