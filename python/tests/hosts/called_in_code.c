// title: Python code calls the host, which wants to end Python; the host ends it later
// of: the header
// stock: none
// arrives: alive: b"alive"
// arrives: after: b"after"
// arrives: log: b"a line"
#include "host.h"

static PyObject *end(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    NEED(rtpy_finalize(NULL, NULL) == RT_ERR_IN_CALLBACK);
    Py_RETURN_NONE;
}

/* Like ctypes does. */
static PyObject *end_without_lock(PyObject *module, PyObject *unused)
{
    rt_status status;
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = rtpy_finalize(NULL, NULL);
    Py_END_ALLOW_THREADS
    NEED(status == RT_ERR_IN_CALLBACK);
    Py_RETURN_NONE;
}

static PyMethodDef of_end_without_lock = {"release", end_without_lock, METH_NOARGS, NULL};
static PyMethodDef of_end = {"end", end, METH_NOARGS, NULL};

int main(void)
{
    PyObject *function;
    int code;
    host_start();
    function = PyCFunction_New(&of_end, NULL);
    NEED(function != NULL && PyModule_AddObject(PyImport_AddModule("__main__"), "end", function) == 0);
    function = PyCFunction_New(&of_end_without_lock, NULL);
    NEED(function != NULL && PyModule_AddObject(PyImport_AddModule("__main__"), "release", function) == 0);
    host_run("file = open('log', 'w')\nfile.write('a line')\n"
             "def callback():\n"
             "    end()\n"
             "    open('after', 'w').write('after')\n"
             "callback()\n"
             "release()\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
