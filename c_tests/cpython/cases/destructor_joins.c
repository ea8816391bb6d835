// title: an object joins its callback thread as its module is cleared
// of: pybind11
// arrives: stdout: b"joined\n"
#include "host.h"

#include <stdatomic.h>

static atomic_int stop;
static sem_t working;
static pthread_t worker;

static void *call_back(void *unused)
{
    for (int turn = 0; !stop; turn++) {
        PyGILState_STATE state = PyGILState_Ensure();
        host_run("x = 1");
        PyGILState_Release(state);
        if (turn == 0) {
            sem_post(&working);
        }
    }
    return unused;
}

static void destroy(PyObject *capsule)
{
    (void)capsule;
    stop = 1;
    Py_BEGIN_ALLOW_THREADS
    pthread_join(worker, NULL);
    Py_END_ALLOW_THREADS
    printf("joined\n");
}

int main(void)
{
    sem_init(&working, 0, 0);
    host_start();
    PyObject *main_module = PyImport_AddModule("__main__");
    PyObject *capsule = PyCapsule_New(&worker, "worker", destroy);
    if (PyObject_SetAttrString(main_module, "worker", capsule) < 0) {
        return 94;
    }
    Py_DECREF(capsule);
    pthread_create(&worker, NULL, call_back, NULL);
    Py_BEGIN_ALLOW_THREADS
    host_wait(&working);
    Py_END_ALLOW_THREADS
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
