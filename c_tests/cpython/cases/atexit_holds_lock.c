// title: an atexit callback of a host that never gives the interpreter's lock back, and a deadline
// of: defaults
// stock: always
// exit: 120
// set: RTFINALIZE_DEADLINE=1s
// arrives: kept.bin: b"".join(b"record %d\n" % n for n in range(600))
// says: stuck
#include "host.h"

#include <unistd.h>

static PyObject *sleep_for_good(PyObject *self, PyObject *ignored)
{
    (void)self;
    (void)ignored;
    while (sleep(1000) > 0) { /* interrupted: again */
    }
    return NULL;
}

int main(void)
{
    static PyMethodDef method = {"stuck", sleep_for_good, METH_NOARGS, NULL};
    host_start();
    PyObject *function = PyCFunction_New(&method, NULL);
    PySys_SetObject("stuck", function);
    Py_DECREF(function);
    PyRun_SimpleString("import atexit, sys\n"
                       "file = open('kept.bin', 'wb')\n"
                       "for number in range(600):\n"
                       "    file.write(b'record %d\\n' % number)\n"
                       "def stuck():\n"
                       "    sys.stuck()\n"
                       "atexit.register(stuck)\n");
    Py_FinalizeEx();
    return 99;
}
