// title: a host's main thread ends Python and then itself, while a thread is left that comes too late
// of: everyday
#include "host.h"

static sem_t detached, finalized;

static void *late(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_BEGIN_ALLOW_THREADS
    sem_post(&detached);
    host_wait(&finalized);
    Py_END_ALLOW_THREADS
    PyGILState_Release(state);
    return unused;
}

int main(void)
{
    sem_init(&detached, 0, 0);
    sem_init(&finalized, 0, 0);
    host_start();
    host_thread(late, NULL);
    Py_BEGIN_ALLOW_THREADS
    host_wait(&detached);
    Py_END_ALLOW_THREADS
    if (Py_FinalizeEx() < 0) {
        return 120;
    }
    sem_post(&finalized);
    pthread_exit(NULL);
}
