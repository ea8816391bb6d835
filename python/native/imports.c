/*
 * Python's own modules, whatever has been made of the import system meanwhile.
 *
 * Code replaces entries of sys.modules (gevent, libraries for tests), empties sys.path or takes builtins away, and does
 * not tidy up after itself. An end that is bound to come keeps what it needs from the beginning.
 */
#include "native.h"

/* By name; NULL where nothing is kept. */
static PyObject *kept;

void native_keep_modules(void)
{
    static const char *const names[] = {"_io", "_signal", "_thread", "atexit", "gc", "io", "os", "stat", "sys", "threading"};
    PyObject *builtins = PyDict_Copy(PyEval_GetBuiltins());
    size_t i;
    kept = PyDict_New();
    if (kept != NULL && builtins != NULL) {
        PyDict_SetItemString(kept, "builtins", builtins);
    }
    for (i = 0; kept != NULL && i < sizeof names / sizeof *names; i++) {
        PyObject *module = PyImport_ImportModule(names[i]);
        if (module != NULL) {
            PyDict_SetItemString(kept, names[i], module);
        }
        Py_XDECREF(module);
        PyErr_Clear(); /* it may be there at the end */
    }
    Py_XDECREF(builtins);
    PyErr_Clear();
}

void native_forget_modules(void)
{
    Py_CLEAR(kept);
}

PyObject *native_import(const char *name)
{
    PyObject *module = kept == NULL ? NULL : PyDict_GetItemString(kept, name);
    return module == NULL ? PyImport_ImportModule(name) : Py_NewRef(module);
}

PyObject *native_kept_builtins(void)
{
    PyObject *builtins = kept == NULL ? NULL : PyDict_GetItemString(kept, "builtins");
    return PyDict_Copy(builtins == NULL ? PyEval_GetBuiltins() : builtins);
}
