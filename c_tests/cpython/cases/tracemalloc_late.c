// title: native code reports to tracemalloc what it allocates and frees, during and after the end of Python
// of: gh-142135
// stock: always
#include "host.h"

#include <stdatomic.h>

static atomic_int stop;
static sem_t working;

static void *work(void *unused)
{
    for (uintptr_t p = 4096; !stop; p += 64) {
        PyTraceMalloc_Track(1, p, 64);
        PyTraceMalloc_Untrack(1, p);
        if (p == 4096) {
            sem_post(&working);
        }
    }
    return unused;
}

int main(void)
{
    sem_init(&working, 0, 0);
    host_start();
    host_run("import tracemalloc; tracemalloc.start()");
    PyTraceMalloc_Track(1, 64, 64);
    for (int i = 0; i < 4; i++) {
        host_thread(work, NULL);
    }
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 4; i++) {
        host_wait(&working);
    }
    Py_END_ALLOW_THREADS
    int code = Py_FinalizeEx();
    PyTraceMalloc_Untrack(1, 64);
    stop = 1;
    return code < 0 ? 120 : 0;
}
