/*
 * Signals while the engine is at work.
 *
 * A handler in Python is called on the main thread between any two instructions, those of the engine too, and may raise:
 * a file would not be flushed, or a thread not be stopped. So a function of ours, which raises nothing, is in the
 * handlers' place meanwhile. What came before threads are stopped is handed on to the handlers; afterwards nobody is there
 * who could act on it, but Ctrl-C and SIGTERM still interrupt the flush of a file, which may never return.
 */
#include "native.h"

static PyObject *handlers[NSIG]; /* those that are replaced */
static char has_come[NSIG];
static int is_held, may_interrupt;

static PyObject *take_note(PyObject *self, PyObject *args)
{
    int number;
    PyObject *frame;
    (void)self;
    if (!PyArg_ParseTuple(args, "iO", &number, &frame)) {
        return NULL;
    }
    has_come[number] = 1;
    if (may_interrupt && (number == SIGINT || number == SIGTERM)) {
        may_interrupt = 0;
        PyErr_SetString(PyExc_KeyboardInterrupt, "interrupted");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef of_take_note = {"take_note", take_note, METH_VARARGS, NULL};

/* What has come already is handled first, and may raise: it is nobody's, then, as ever at the end. */
static int set_handler(PyObject *module, int number, PyObject *handler)
{
    int tries;
    for (tries = 0; tries < 1000; tries++) {
        PyObject *before = PyObject_CallMethod(module, "signal", "iO", number, handler);
        if (before != NULL) {
            Py_DECREF(before);
            return 1;
        }
        if (PyErr_ExceptionMatches(PyExc_ValueError)) {
            break; /* not on the main thread, where no handler is called either */
        }
        PyErr_WriteUnraisable(handler);
    }
    PyErr_Clear();
    return 0;
}

int native_hold_signals(void)
{
    PyObject *module, *ours;
    int number;
    if (is_held) {
        return 0;
    }
    module = native_import("_signal");
    ours = PyCFunction_New(&of_take_note, NULL);
    for (number = 1; module != NULL && ours != NULL && number < NSIG; number++) {
        PyObject *handler = PyObject_CallMethod(module, "getsignal", "i", number);
        has_come[number] = 0;
        if (handler != NULL && PyCallable_Check(handler) && set_handler(module, number, ours)) {
            handlers[number] = Py_NewRef(handler);
        }
        Py_XDECREF(handler);
        PyErr_Clear(); /* Python does not know some numbers */
    }
    Py_XDECREF(ours);
    Py_XDECREF(module);
    PyErr_Clear();
    is_held = 1;
    return 1;
}

void native_release_signals(int hands_on)
{
    PyObject *type, *value, *trace, *module;
    int number;
    PyErr_Fetch(&type, &value, &trace);
    module = native_import("_signal");
    for (number = 1; number < NSIG; number++) {
        if (handlers[number] != NULL && module != NULL && set_handler(module, number, handlers[number])
            && has_come[number] && hands_on) {
            raise(number);
        }
        Py_CLEAR(handlers[number]);
    }
    Py_XDECREF(module);
    PyErr_Clear();
    is_held = 0;
    PyErr_Restore(type, value, trace);
}

static PyObject *interruptibly(PyObject *module, PyObject *call)
{
    PyObject *result;
    (void)module;
    may_interrupt = 1;
    result = PyObject_CallNoArgs(call);
    may_interrupt = 0;
    return result;
}

PyMethodDef native_signal_methods[] = {
    {"interruptibly", interruptibly, METH_O, "Call what Ctrl-C and SIGTERM may interrupt, also while threads are stopped."},
    {NULL, NULL, 0, NULL},
};
