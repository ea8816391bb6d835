/*
 * Subinterpreters that are left open.
 *
 * Each has threads and files of its own, which this module cannot see from the main interpreter. So another thread goes
 * into each of them, stops its threads and flushes its files there, and is waited for a while.
 */
#include "native.h"

/* Past what a subclass makes of a flush. Nothing is asked of an object but its type. */
static const char source[] =
    "import gc, io, sys, time\n"
    "time.sleep(0.02)\n" /* a thread that runs comes to where it stops */
    "threading = sys.modules.get('threading')\n"
    "busy = int(threading is not None and len(threading._active) > 1)\n"
    "lost = 0\n"
    "for kinds in (io.TextIOWrapper,), (io.BufferedWriter, io.BufferedRandom):\n"
    "    for thing in gc.get_objects():\n"
    "        for kind in kinds:\n"
    "            try:\n"
    "                if issubclass(type(thing), kind) and not thing.closed:\n"
    "                    kind.flush(thing)\n"
    "            except Exception:\n"
    "                lost += 1\n";

static atomic_long lost, busy;

static long number(PyObject *names, const char *name)
{
    PyObject *object = names == NULL ? NULL : PyDict_GetItemString(names, name);
    return object == NULL ? 0 : PyLong_AsLong(object);
}

/* In the subinterpreter. */
static PyObject *flush_files_here(PyObject *unused)
{
    PyObject *names = PyDict_New(), *code, *result;
    (void)unused;
    native_stop_other_threads();
    code = Py_CompileString(source, "<rtfinalize>", Py_file_input);
    if (names == NULL || code == NULL || PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) < 0) {
        result = NULL;
    }
    else {
        result = PyEval_EvalCode(code, names, names);
    }
    lost += result == NULL ? 1 : number(names, "lost");
    busy += number(names, "busy");
    Py_XDECREF(code);
    Py_XDECREF(names);
    /* It shall leave nothing that belongs to this interpreter. */
    PyErr_Clear();
    return result;
}

/* How many subinterpreters were not done in time; how many of their files could not be flushed; and how many of them
 * have threads of their own. */
static PyObject *flush_subinterpreters(PyObject *module, PyObject *args)
{
    PyInterpreterState *(*head)(void), *(*next)(PyInterpreterState *), *each;
    double seconds;
    long late = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "d:flush_subinterpreters", &seconds)) {
        return NULL;
    }
    lost = busy = 0;
    if (native_look_up("PyInterpreterState_Head", &head) && native_look_up("PyInterpreterState_Next", &next)) {
        for (each = head(); each != NULL; each = next(each)) {
            struct errand *errand;
            int is_done;
            if (PyInterpreterState_GetID(each) == 0) {
                continue;
            }
            errand = native_new_errand(flush_files_here, NULL);
            if (errand == NULL) {
                return PyErr_NoMemory();
            }
            native_send_into(errand, each);
            Py_BEGIN_ALLOW_THREADS
            is_done = native_run_within(errand, seconds);
            Py_END_ALLOW_THREADS
            late += is_done != 1;
            if (is_done != 0) {
                native_free_errand(errand);
            }
        }
    }
    return Py_BuildValue("lll", late, (long)lost, (long)busy);
}

static PyObject *is_in_subinterpreter(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(PyInterpreterState_GetID(PyInterpreterState_Get()) != 0);
}

PyMethodDef native_subinterpreter_methods[] = {
    {"flush_subinterpreters", flush_subinterpreters, METH_VARARGS, "Stop the threads of each, and flush its files."},
    {"is_in_subinterpreter", is_in_subinterpreter, METH_NOARGS, "Whether this is not the main interpreter."},
    {NULL, NULL, 0, NULL},
};
