// title: another thread ends Python while the main thread is outside of it
// of: a host's exit hook, 2026-07
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

static int code;

static void *end(void *unused)
{
    (void)unused;
#ifdef STOCK
    PyGILState_Ensure();
#endif
    code = host_finalize();
    return NULL;
}

int main(void)
{
    PyThreadState *self;
    pthread_t thread;
    host_guard guard;
    host_start();
    host_run("file = open('log', 'w')\nfile.write('a line')\n");
    self = PyEval_SaveThread();
    thread = host_thread(end, NULL);
    NEED(pthread_join(thread, NULL) == 0);
    NEED(code == 0);
    /* The main thread takes the lock again and must not crash; its next rtpy_ensure is refused. */
#ifndef STOCK
    PyEval_RestoreThread(self);
    PyEval_SaveThread();
    NEED(!host_ensure("main", &guard));
#else
    (void)self, (void)guard;
#endif
    host_lives_on();
    return code;
}
