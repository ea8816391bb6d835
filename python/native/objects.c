/* Looks at objects that Python does not offer: their fields, their types past what they say, their references. */
#include "native.h"

static PyObject *fields(PyObject *module, PyObject *args)
{
    PyObject *object;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:fields", &object, &size)) {
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)object, size);
}

/* Those of a list whose type is one of a tuple's. Nothing is asked of the objects, of which there may be millions: a
 * proxy answers by code of its own when asked for its class. */
static PyObject *of_types(PyObject *module, PyObject *args)
{
    PyObject *things, *types, *found;
    PyObject *kinds[64];
    Py_ssize_t count, at, i, n;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!:of_types", &PyList_Type, &things, &PyTuple_Type, &types)) {
        return NULL;
    }
    n = PyTuple_Size(types);
    if (n > (Py_ssize_t)(sizeof kinds / sizeof *kinds)) {
        PyErr_SetString(PyExc_ValueError, "too many types");
        return NULL;
    }
    for (i = 0; i < n; i++) {
        kinds[i] = PyTuple_GetItem(types, i);
    }
    found = PyList_New(0);
    count = PyList_Size(things);
    for (at = 0; found != NULL && at < count; at++) {
        PyObject *thing = PyList_GetItem(things, at);
        PyObject *type = (PyObject *)Py_TYPE(thing);
        for (i = 0; i < n && kinds[i] != type; i++) {
        }
        if (i < n && PyList_Append(found, thing) < 0) {
            Py_CLEAR(found);
        }
    }
    return found;
}

/* A reference that is never given back. */
static PyObject *keep(PyObject *module, PyObject *object)
{
    (void)module;
    Py_INCREF(object);
    Py_RETURN_NONE;
}

PyMethodDef native_object_methods[] = {
    {"fields", fields, METH_VARARGS, "So many bytes of an object itself."},
    {"of_types", of_types, METH_VARARGS, "Those of a list whose type is one of a tuple's."},
    {"keep", keep, METH_O, "Refer to an object for good."},
    {NULL, NULL, 0, NULL},
};
