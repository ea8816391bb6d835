/* Compiles a program. */
#include "native.h"

/* The built-in function makes the types of all syntax trees, which takes as long as the rest of a start with the package. */
static PyObject *compile_file(PyObject *module, PyObject *args)
{
    char *source;
    PyObject *bytes, *path, *code = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O&:compile_file", &PyBytes_Type, &bytes, PyUnicode_FSConverter, &path)) {
        return NULL;
    }
    /* Refuses bytes that are zero. */
    if (PyBytes_AsStringAndSize(bytes, &source, NULL) == 0) {
        code = Py_CompileString(source, PyBytes_AsString(path), Py_file_input);
    }
    Py_DECREF(path);
    return code;
}

PyMethodDef native_compile_methods[] = {
    {"compile_file", compile_file, METH_VARARGS, "Compile a file's bytes, of which none is zero."},
    {NULL, NULL, 0, NULL},
};
