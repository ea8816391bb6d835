// title: an object joins its callback thread as its module is cleared
// of: pybind11
// arrives: stdout: b"joined\n"
#include "worker.h"

static void destroy(PyObject *capsule)
{
    (void)capsule;
    Py_BEGIN_ALLOW_THREADS
    worker_join();
    Py_END_ALLOW_THREADS
}

int main(void)
{
    host_start();
    PyObject *main_module = PyImport_AddModule("__main__");
    PyObject *capsule = PyCapsule_New(&worker, "worker", destroy);
    if (PyObject_SetAttrString(main_module, "worker", capsule) < 0) {
        return 94;
    }
    Py_DECREF(capsule);
    worker_start();
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
