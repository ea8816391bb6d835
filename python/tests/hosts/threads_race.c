// title: eight native threads call into Python while it ends
// of: map, gh-124619
// arrives: alive: b"alive"
#include "host.h"

enum { THREADS = 8 };
static sem_t ready;

static void *call(void *unused)
{
    host_guard guard;
    int count = 0;
    (void)unused;
    while (host_ensure("caller", &guard)) {
        PyObject *text = PyUnicode_FromFormat("call %d", count);
        NEED(text != NULL);
        Py_DECREF(text);
        host_release(&guard);
        if (++count == 100) {
            sem_post(&ready);
        }
        usleep(100); /* a free-threaded 3.13 makes and frees thread states in the speed of seconds, if many do it at once */
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    PyThreadState *self;
    int code, i;
    sem_init(&ready, 0, 0);
    host_start();
    self = PyEval_SaveThread();
    for (i = 0; i < THREADS; i++) {
        threads[i] = host_thread(call, NULL);
    }
    for (i = 0; i < THREADS; i++) {
        host_wait(&ready);
    }
    PyEval_RestoreThread(self);
    code = host_finalize();
    for (i = 0; i < THREADS; i++) {
        host_join(threads[i]);
    }
#ifdef STOCK
    usleep(100 * 1000); /* they go on for a while */
#endif
    host_lives_on();
    return code;
}
