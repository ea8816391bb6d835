// title: a destructor calls the host, which wants to end Python once more
// of: the header
// stock: none
// arrives: alive: b"alive"
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
    host_run("file = open('log', 'w')\nfile.write('a line')\n"
             "def callback(end=end):\n"
             "    end()\n"
             "class Last:\n"
             "    def __del__(self, callback=callback):\n"
             "        callback()\n"
             "last = Last()\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
