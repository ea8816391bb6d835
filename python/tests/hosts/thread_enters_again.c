// title: a thread of Python's, which is waited for, calls in through the host
// of: rtpy_ensure
// stock: none
// arrives: alive: b"alive"
// arrives: thread: b"inside"
#include "host.h"

static atomic_int refused;

static void *try_from_outside(void *unused)
{
    host_guard guard;
    (void)unused;
    if (host_ensure("outside", &guard)) {
        host_release(&guard);
    }
    else {
        refused = 1;
    }
    return NULL;
}

static PyObject *enter(PyObject *self, PyObject *unused)
{
    host_guard guard;
    (void)self;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    /* Native threads are refused once the end of Python has begun. */
    while (!refused) {
        host_join(host_thread(try_from_outside, NULL));
    }
    Py_END_ALLOW_THREADS
    NEED(host_ensure("thread", &guard));
    host_run("file = open('thread', 'w')\nfile.write('inside')\n");
    host_release(&guard);
    Py_RETURN_NONE;
}

static PyMethodDef method = {"enter", enter, METH_NOARGS, "Calls in."};

int main(void)
{
    PyObject *function;
    int code;
    host_start();
    function = PyCFunction_New(&method, NULL);
    NEED(function != NULL && PyObject_SetAttrString(PyImport_AddModule("__main__"), "enter", function) == 0);
    Py_DECREF(function);
    host_run("import threading\nthreading.Thread(target=enter).start()\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
