// title: a native thread attached in one life comes back in the next
// of: map, gh-113793
// stock: always
#include "host.h"

static sem_t detached, again, done;

static void *across(void *unused)
{
    (void)unused;
    PyGILState_STATE state = PyGILState_Ensure();
    PyThreadState *kept = PyEval_SaveThread();
    sem_post(&detached);
    host_wait(&again);
    PyEval_RestoreThread(kept);
    PyGILState_Release(state);
    sem_post(&done);
    return NULL;
}

int main(void)
{
    sem_init(&detached, 0, 0);
    sem_init(&again, 0, 0);
    sem_init(&done, 0, 0);
    host_start();
    PyThreadState *self = PyEval_SaveThread();
    for (int number = 0; number < 4; number++) {
        host_thread(across, NULL);
        host_wait(&detached);
    }
    PyEval_RestoreThread(self);
    Py_FinalizeEx();

    host_start();
    self = PyEval_SaveThread();
    for (int number = 0; number < 4; number++) {
        sem_post(&again);
    }
    host_wait_a_while(&done);
    PyEval_RestoreThread(self);
    host_run("import json; assert json.loads('[1]') == [1]");
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
