// title: a native thread's first PyGILState_Ensure after Py_FinalizeEx
// of: map, gh-124619
// stock: always
#include "host.h"

static sem_t finalized, done;

static void *late(void *unused)
{
    (void)unused;
    host_wait(&finalized);
    PyGILState_STATE state = PyGILState_Ensure();
    PyGILState_Release(state);
    sem_post(&done);
    return NULL;
}

int main(void)
{
    sem_init(&finalized, 0, 0);
    sem_init(&done, 0, 0);
    host_start();
    host_thread(late, NULL);
    int status = Py_FinalizeEx();
    sem_post(&finalized);
    host_wait_a_while(&done);
    return status < 0 ? 120 : 0;
}
