// title: a native thread that is stopped has C++ frames with destructors, one of them noexcept
// of: gh-87135
// stock: always until 3.13.8
// set: RTFINALIZE_LATE_THREADS=park
#include "host.h"

static sem_t detached, finalizing, done;
static bool unwound;

/* As binding libraries have it: lets go of Python in a scope, takes it again in the destructor, which is
 * noexcept as all destructors are. */
class Released {
    PyThreadState *state = PyEval_SaveThread();

public:
    ~Released() { PyEval_RestoreThread(state); }
};

class Acquired {
    PyGILState_STATE state = PyGILState_Ensure();

public:
    ~Acquired()
    {
        unwound = true;
        PyGILState_Release(state);
    }
};

static void work()
{
    Acquired acquired;
    Released released;
    sem_post(&detached);
    host_wait(&finalizing);
}

static void *thread(void *)
{
    work();
    sem_post(&done);
    return nullptr;
}

/* Called when finalization has passed the point of no return. */
static void late()
{
    sem_post(&finalizing);
    host_wait_a_while(&done);
}

int main()
{
    sem_init(&detached, 0, 0);
    sem_init(&finalizing, 0, 0);
    sem_init(&done, 0, 0);
    host_start();
    Py_AtExit(late);
    host_thread(thread, nullptr);
    PyThreadState *self = PyEval_SaveThread();
    host_wait(&detached);
    PyEval_RestoreThread(self);
    int status = Py_FinalizeEx();
    /* The thread's frames are its own: nobody else may run their destructors. */
    return unwound ? 95 : status < 0 ? 120 : 0;
}
