/* Native threads that call into an interpreter by its view, again and again, until they are refused. */

#ifndef CASES_CALLERS_H
#define CASES_CALLERS_H

#include "host.h"

#include <sched.h>

enum { CALLERS = 16 };

static sem_t ready, refused;
static PyInterpreterView *view;

static void count(int number)
{
    PyObject *text = PyUnicode_FromFormat("call %d", number);
    if (text == NULL) {
        exit(97);
    }
    Py_DECREF(text);
}

/* Half of the threads open their guard themselves, and call in and out under it. */
static int call_in(int number)
{
    PyInterpreterGuard *guard = NULL;
    PyThreadStateToken *token;
    if (number % 2 == 0) {
        token = PyThreadState_EnsureFromView(view);
    }
    else if ((guard = PyInterpreterGuard_FromView(view)) == NULL) {
        return 0;
    }
    else if ((token = PyThreadState_Ensure(guard)) == NULL) {
        exit(98); /* the guard protects */
    }
    if (token == NULL) {
        return 0;
    }
    count(number);
    PyThreadState *self = PyEval_SaveThread();
    sched_yield();
    PyEval_RestoreThread(self);
    count(number);
    PyThreadState_Release(token);
    if (guard != NULL) {
        PyInterpreterGuard_Close(guard);
    }
    return 1;
}

static void *call(void *number)
{
    int calls = 0;
    while (call_in((int)(intptr_t)number)) {
        if (++calls == 20) {
            sem_post(&ready);
        }
    }
    sem_post(&refused);
    return NULL;
}

/* Of the interpreter that is attached; lets go of it while they start. */
static inline void callers_start(void)
{
    sem_init(&ready, 0, 0);
    sem_init(&refused, 0, 0);
    view = PyInterpreterView_FromCurrent();
    PyThreadState *self = PyEval_SaveThread();
    for (intptr_t number = 0; number < CALLERS; number++) {
        host_thread(call, (void *)number);
    }
    for (int number = 0; number < CALLERS; number++) {
        host_wait(&ready);
    }
    PyEval_RestoreThread(self);
}

/* None of them is parked: each gets its answer and ends. */
static inline void callers_end(void)
{
    for (int number = 0; number < CALLERS; number++) {
        host_wait(&refused);
    }
    PyInterpreterView_Close(view);
}

#endif
