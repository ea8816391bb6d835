// title: an exit callback in C keeps the interpreter's lock for good, and the deadline ends the process
// of: map
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// says: native code that keeps the interpreter's lock
// stock: always
#include "host.h"

static PyObject *spin(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    for (;;) {
        __asm__ volatile("");
    }
    return NULL;
}

static PyMethodDef spin_method = {"spin", spin, METH_NOARGS, NULL};

int main(void)
{
    PyObject *module, *function;
    host_start();
    module = PyImport_ImportModule("atexit");
    function = PyCFunction_New(&spin_method, NULL);
    NEED(module != NULL && function != NULL);
    NEED(PyObject_CallMethod(module, "register", "O", function) != NULL);
#ifdef STOCK
    return host_finalize();
#else
    {
        rt_finalize_options options = {.struct_size = sizeof options, .overrun = RT_OVERRUN_EXIT};
        rtpy_finalize(&options, NULL);
        return 1; /* it does not come back */
    }
#endif
}
