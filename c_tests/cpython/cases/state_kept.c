// title: a native thread lets go of Python, and comes back with its thread state after Py_FinalizeEx
// of: gh-113793, gh-127893
#include "host.h"

static sem_t detached, finalized, done;

static void *poller(void *unused)
{
    (void)unused;
    PyGILState_STATE state = PyGILState_Ensure();
    PyThreadState *kept = PyEval_SaveThread();
    sem_post(&detached);
    host_wait(&finalized);
    PyEval_RestoreThread(kept);
    PyGILState_Release(state);
    sem_post(&done);
    return NULL;
}

int main(void)
{
    sem_init(&detached, 0, 0);
    sem_init(&finalized, 0, 0);
    sem_init(&done, 0, 0);
    host_start();
    host_thread(poller, NULL);
    PyThreadState *self = PyEval_SaveThread();
    host_wait(&detached);
    PyEval_RestoreThread(self);
    int status = Py_FinalizeEx();
    sem_post(&finalized);
    host_wait_a_while(&done);
    return status < 0 ? 120 : 0;
}
