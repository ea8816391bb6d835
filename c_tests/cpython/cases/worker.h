/* A native thread that calls into Python again and again until it is stopped. */

#ifndef CASES_WORKER_H
#define CASES_WORKER_H

#include "host.h"

#include <stdatomic.h>

static atomic_int worker_may_end;
static sem_t worker_called;
static pthread_t worker;

static void *worker_call(void *unused)
{
    for (int turn = 0; !worker_may_end; turn++) {
        PyGILState_STATE state = PyGILState_Ensure();
        host_run("x = 1");
        PyGILState_Release(state);
        if (turn == 0) {
            sem_post(&worker_called);
        }
    }
    return unused;
}

/* Returns after its first call; detaches the calling thread meanwhile. */
static inline void worker_start(void)
{
    sem_init(&worker_called, 0, 0);
    if (pthread_create(&worker, NULL, worker_call, NULL) != 0) {
        exit(92);
    }
    Py_BEGIN_ALLOW_THREADS
    host_wait(&worker_called);
    Py_END_ALLOW_THREADS
}

static inline void worker_join(void)
{
    worker_may_end = 1;
    pthread_join(worker, NULL);
    printf("joined\n");
}

#endif
