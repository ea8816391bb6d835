// title: a native thread never leaves Python, and there is a deadline
// of: PEP 788
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// says: "name":"Python","bytes":0,"reason":"it may be touched again by thread
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

static sem_t inside;

static void *work(void *unused)
{
    host_guard guard;
    (void)unused;
    NEED(host_ensure("forgetful", &guard));
    host_run("file = open('log', 'w')\nfile.write('a line')\n");
    Py_BEGIN_ALLOW_THREADS
    sem_post(&inside);
    for (;;) {
        pause();
    }
    Py_END_ALLOW_THREADS
    return NULL;
}

int main(void)
{
    PyThreadState *self;
    int code;
    sem_init(&inside, 0, 0);
    host_start();
    self = PyEval_SaveThread();
    host_thread(work, NULL);
    host_wait(&inside);
    PyEval_RestoreThread(self);
    code = host_finalize();
#ifndef STOCK
    {
        PyStatus again = rtpy_start(NULL);
        NEED(PyStatus_Exception(again) && strstr(again.err_msg, "left alone") != NULL);
    }
#else
    code = 120;
#endif
    host_lives_on();
    return code;
}
