/* A native thread that has left Python when it ends, and comes back when it has ended. */

#ifndef CASES_LATE_H
#define CASES_LATE_H

#include "host.h"

static sem_t late_detached, late_may_come;

static void *late(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_BEGIN_ALLOW_THREADS
    sem_post(&late_detached);
    host_wait(&late_may_come);
    Py_END_ALLOW_THREADS
    PyGILState_Release(state);
    return unused;
}

/* One life of Python, with such a thread, which is the caller's to join. */
static inline pthread_t late_life_to_join(void)
{
    pthread_t thread;
    sem_init(&late_detached, 0, 0);
    sem_init(&late_may_come, 0, 0);
    host_start();
    if (pthread_create(&thread, NULL, late, NULL) != 0) {
        exit(92);
    }
    Py_BEGIN_ALLOW_THREADS
    host_wait(&late_detached);
    Py_END_ALLOW_THREADS
    if (Py_FinalizeEx() < 0) {
        exit(120);
    }
    sem_post(&late_may_come);
    return thread;
}

static inline void late_life(void)
{
    pthread_detach(late_life_to_join());
}

#endif
