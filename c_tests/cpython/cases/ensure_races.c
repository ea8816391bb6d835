// title: eight native threads call into Python while Py_FinalizeEx runs
// of: map, gh-124619
#include "host.h"

static sem_t ready;

static void *call(void *unused)
{
    (void)unused;
    for (int count = 0;; count++) {
        PyGILState_STATE state = PyGILState_Ensure();
        PyObject *text = PyUnicode_FromFormat("call %d", count);
        Py_XDECREF(text);
        PyGILState_Release(state);
        if (count == 100) {
            sem_post(&ready);
        }
    }
    return NULL;
}

int main(void)
{
    sem_init(&ready, 0, 0);
    host_start();
    PyThreadState *self = PyEval_SaveThread();
    for (int number = 0; number < 8; number++) {
        host_thread(call, NULL);
    }
    for (int number = 0; number < 8; number++) {
        host_wait(&ready);
    }
    PyEval_RestoreThread(self);
    int status = Py_FinalizeEx();
    /* The threads go on calling for a while: what is freed must not be touched. */
    usleep(100 * 1000);
    return status < 0 ? 120 : 0;
}
