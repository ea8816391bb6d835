// title: a native thread works under a guard that the main thread opened for it, when finalization begins
// of: PEP 788
// stock: none
// arrives: out: b"worked to the end"
#include "host.h"

static sem_t working, finalizing;
static PyInterpreterGuard *guard;
static int closed;

static void *work(void *unused)
{
    (void)unused;
    PyThreadStateToken *token = PyThreadState_Ensure(guard);
    if (token == NULL) {
        exit(97);
    }
    host_run("file = open('out', 'w')");
    PyThreadState_Release(token);
    sem_post(&working);
    host_wait(&finalizing);
    token = PyThreadState_Ensure(guard);
    if (token == NULL) {
        exit(98);
    }
    host_run("import time\n"
             "for word in 'worked ', 'to ', 'the ', 'end':\n"
             "    time.sleep(0.05)\n"
             "    file.write(word)\n"
             "file.close()");
    PyThreadState_Release(token);
    closed = 1;
    PyInterpreterGuard_Close(guard);
    return NULL;
}

int main(void)
{
    sem_init(&working, 0, 0);
    sem_init(&finalizing, 0, 0);
    host_start();
    guard = PyInterpreterGuard_FromCurrent();
    if (guard == NULL) {
        return 99;
    }
    PyThreadState *self = PyEval_SaveThread();
    host_thread(work, NULL);
    host_wait(&working);
    PyEval_RestoreThread(self);
    sem_post(&finalizing);
    int status = Py_FinalizeEx();
    return !closed ? 95 : status < 0 ? 120 : 0;
}
