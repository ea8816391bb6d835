/* Guards, which hold up the end for work that Python does not see. */
#include "native.h"

static PyObject *guard_acquire(PyObject *module, PyObject *args)
{
    static rt_view *view;
    const char *name;
    rt_guard *guard;
    rt_status status = RT_OK;
    (void)module;
    if (!PyArg_ParseTuple(args, "s:guard_acquire", &name)) {
        return NULL;
    }
    if (view == NULL) {
        status = rt_view_from(NULL, &view);
    }
    if (status >= 0) {
        /* Any thread may close it. */
        status = rt_guard_acquire_shared(view, name, &guard);
    }
    if (status < 0) {
        PyErr_SetString(PyExc_RuntimeError, rt_last_error());
        return NULL;
    }
    return PyLong_FromVoidPtr(guard);
}

static PyObject *guard_release(PyObject *module, PyObject *guard)
{
    rt_guard *of = PyLong_AsVoidPtr(guard);
    (void)module;
    if (of == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return native_checked(rt_guard_release(of));
}

PyMethodDef native_guard_methods[] = {
    {"guard_acquire", guard_acquire, METH_VARARGS, "Open a guard."},
    {"guard_release", guard_release, METH_O, "Close a guard."},
    {NULL, NULL, 0, NULL},
};
