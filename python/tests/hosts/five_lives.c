// title: Python starts and ends five times while native threads call in
// of: map, gh-113793
// arrives: alive: b"alive"
// arrives: lives: b"01234"
// seconds: 30
#include "host.h"

enum { THREADS = 4, LIVES = 5 };
static sem_t ready;
static atomic_int over;

static void *call(void *unused)
{
    host_guard guard;
    (void)unused;
    while (!over) {
        if (host_ensure("caller", &guard)) {
            PyObject *list = PyList_New(10);
            NEED(list != NULL);
            Py_DECREF(list);
            host_release(&guard);
            sem_post(&ready);
        }
        usleep(100); /* as in threads_race */
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int code = 0, number, i;
    sem_init(&ready, 0, 0);
    for (number = 0; number < LIVES; number++) {
        char code_of_life[128];
        PyThreadState *self;
        host_start();
        snprintf(code_of_life, sizeof code_of_life, "file = open('lives', 'a')\nfile.write('%d')\n", number);
        host_run(code_of_life);
        self = PyEval_SaveThread();
        for (i = 0; number == 0 && i < THREADS; i++) {
            threads[i] = host_thread(call, NULL);
        }
        for (i = 0; i < 100; i++) {
            host_wait(&ready);
        }
        PyEval_RestoreThread(self);
        code |= host_finalize();
    }
    over = 1;
    for (i = 0; i < THREADS; i++) {
        host_join(threads[i]);
    }
    host_lives_on();
    return code;
}
