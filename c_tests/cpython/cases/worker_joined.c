// title: a host ends Python and then joins its worker, which calls in again and again
// of: PEP 788's discussion
// arrives: stdout: b"joined\n"
#include "host.h"

#include <stdatomic.h>

static atomic_int stop;
static sem_t working;

static void *work(void *unused)
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

int main(void)
{
    pthread_t worker;
    sem_init(&working, 0, 0);
    host_start();
    pthread_create(&worker, NULL, work, NULL);
    PyThreadState *state = PyEval_SaveThread();
    host_wait(&working);
    PyEval_RestoreThread(state);
    if (Py_FinalizeEx() < 0) {
        return 120;
    }
    stop = 1;
    pthread_join(worker, NULL);
    printf("joined\n");
    return 0;
}
