// title: a native thread has a guard as Python begins to end, and still works in Python
// of: PEP 788
// arrives: alive: b"alive"
// arrives: log: b"first second"
#include "host.h"

static sem_t inside, go_on;

static void *work(void *unused)
{
    host_guard outer, inner;
    (void)unused;
    NEED(host_ensure("worker", &outer));
    host_run("file = open('log', 'w')\nfile.write('first ')\n");
    Py_BEGIN_ALLOW_THREADS
    sem_post(&inside);
    host_wait(&go_on);
    Py_END_ALLOW_THREADS
    /* Who is inside may nest. */
    NEED(host_ensure("nested", &inner));
    host_run("file.write('second')\n");
    host_release(&inner);
    host_release(&outer);
    return NULL;
}

/* Notices that the end has begun, for it gets in no more. */
static void *notice(void *unused)
{
#ifndef STOCK
    host_guard guard;
    while (host_ensure("looks", &guard)) {
        host_release(&guard);
        usleep(1000);
    }
#endif
    (void)unused;
    sem_post(&go_on);
    return NULL;
}

int main(void)
{
    pthread_t thread, notices;
    PyThreadState *self;
    int code;
    sem_init(&inside, 0, 0);
    sem_init(&go_on, 0, 0);
    host_start();
    self = PyEval_SaveThread();
    thread = host_thread(work, NULL);
    host_wait(&inside);
    PyEval_RestoreThread(self);
    notices = host_thread(notice, NULL);
    code = host_finalize();
    host_join(notices);
    host_join(thread);
    host_lives_on();
    return code;
}
