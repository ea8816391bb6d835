/* A module of the host, `native`, whose `guard()` opens a guard that is never closed here. */

#ifndef CASES_NATIVE_H
#define CASES_NATIVE_H

#include "host.h"

static PyInterpreterGuard *native_guard;

static PyObject *native_open(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    native_guard = PyInterpreterGuard_FromCurrent();
    return native_guard == NULL ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef native_methods[] = {
    {"guard", native_open, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef native_module = {
    PyModuleDef_HEAD_INIT, "native", NULL, 0, native_methods, NULL, NULL, NULL, NULL,
};

static PyObject *native_init(void)
{
    return PyModule_Create(&native_module);
}

/* Opens a guard in the function `upload` of a Python thread. */
static inline void native_open_guard(void)
{
    PyImport_AppendInittab("native", native_init);
    host_start();
    host_run("import native, threading\n"
             "def upload():\n"
             "    native.guard()\n"
             "uploader = threading.Thread(target=upload, name='uploader')\n"
             "uploader.start()\n"
             "uploader.join()\n");
    if (native_guard == NULL) {
        exit(97);
    }
}

#endif
