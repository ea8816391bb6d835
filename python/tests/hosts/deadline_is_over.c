// title: a guard is held as Python ends, with a deadline that is over at once
// of: the header
// stock: none
// exit: 120
// arrives: alive: b"alive"
#include "host.h"

static sem_t inside, ended;

static void *hold(void *unused)
{
    host_guard guard;
    (void)unused;
    NEED(host_ensure("holder", &guard));
    Py_BEGIN_ALLOW_THREADS
    sem_post(&inside);
    host_wait(&ended);
    Py_END_ALLOW_THREADS
    host_run("1 + 1");
    host_release(&guard);
    return NULL;
}

int main(void)
{
    rt_finalize_options options = {.struct_size = sizeof options, .deadline_us = 1};
    PyThreadState *self;
    pthread_t thread;
    int status;
    sem_init(&inside, 0, 0);
    sem_init(&ended, 0, 0);
    host_start();
    self = PyEval_SaveThread();
    thread = host_thread(hold, NULL);
    host_wait(&inside);
    PyEval_RestoreThread(self);
    status = rtpy_finalize(&options, NULL);
    NEED(status == RT_ERR_INCOMPLETE);
    sem_post(&ended);
    host_join(thread);
    host_lives_on();
    return 120;
}
