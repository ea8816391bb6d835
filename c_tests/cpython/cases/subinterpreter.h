/* A native thread that works in a subinterpreter, by its view, while that is to end. */

#ifndef CASES_SUBINTERPRETER_H
#define CASES_SUBINTERPRETER_H

#include "host.h"

static sem_t working, ending;
static PyInterpreterView *view;
static int worked;

static void *work_in_subinterpreter(void *unused)
{
    (void)unused;
    PyThreadStateToken *token = PyThreadState_EnsureFromView(view);
    if (token == NULL) {
        exit(97);
    }
    host_run("file = open('out', 'w')");
    PyThreadState *self = PyEval_SaveThread();
    sem_post(&working);
    host_wait(&ending);
    PyEval_RestoreThread(self);
    host_run("import time\n"
             "for word in 'worked ', 'to ', 'the ', 'end':\n"
             "    time.sleep(0.05)\n"
             "    file.write(word)\n"
             "file.close()");
    worked = 1;
    PyThreadState_Release(token);
    return NULL;
}

/* Makes a subinterpreter and a thread that works in it, and returns, without a thread state, the one of the
 * subinterpreter. */
static inline PyThreadState *subinterpreter_start(pthread_t *thread)
{
    sem_init(&working, 0, 0);
    sem_init(&ending, 0, 0);
    if (Py_NewInterpreter() == NULL || (view = PyInterpreterView_FromCurrent()) == NULL) {
        exit(98);
    }
    PyThreadState *sub = PyEval_SaveThread();
    if (pthread_create(thread, NULL, work_in_subinterpreter, NULL) != 0) {
        exit(92);
    }
    host_wait(&working);
    return sub;
}

static inline void *subinterpreter_is_gone(void *unused)
{
    (void)unused;
    if (PyInterpreterGuard_FromView(view) != NULL || PyThreadState_EnsureFromView(view) != NULL) {
        exit(99);
    }
    return NULL;
}

#endif
