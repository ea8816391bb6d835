// title: an exit callback calls the host, which wants to end Python once more
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

static PyMethodDef of_end = {"end", end, METH_NOARGS, NULL};

int main(void)
{
    PyObject *function;
    int code;
    host_start();
    function = PyCFunction_New(&of_end, NULL);
    NEED(function != NULL && PyModule_AddObject(PyImport_AddModule("__main__"), "end", function) == 0);
    host_run("import atexit\n"
             "file = open('log', 'w')\nfile.write('a line')\n"
             "def callback():\n"
             "    end()\n"
             "    open('after', 'w').write('after')\n"
             "atexit.register(callback)\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
