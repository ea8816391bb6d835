// title: forgotten guards of two subinterpreters, one ended and one not, and a deadline
// of: PEP 788
// stock: none
// set: RTFINALIZE_DEADLINE=1s
// seconds: 8
// exit: 0 or 120
// says: does not wait any longer
#include "host.h"

static PyInterpreterGuard *guards[2];

static void *late(void *done)
{
    for (int number = 0; number < 2; number++) {
        if (PyThreadState_Ensure(guards[number]) != NULL) {
            exit(95);
        }
        PyInterpreterGuard_Close(guards[number]);
    }
    sem_post(done);
    return NULL;
}

int main(void)
{
    sem_t done;
    sem_init(&done, 0, 0);
    host_start();
    PyThreadState *self = PyThreadState_Get(), *subs[2];
    for (int number = 0; number < 2; number++) {
        subs[number] = Py_NewInterpreter();
        if (subs[number] == NULL || (guards[number] = PyInterpreterGuard_FromCurrent()) == NULL) {
            return 98;
        }
    }
    PyThreadState_Swap(subs[0]);
    Py_EndInterpreter(subs[0]);
    if (PyThreadState_Ensure(guards[0]) != NULL) {
        return 95;
    }
    PyThreadState_Swap(self);
    int status = Py_FinalizeEx();
    host_thread(late, &done);
    host_wait(&done);
    return status < 0 ? 120 : 0;
}
