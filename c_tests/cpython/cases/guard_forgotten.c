// title: a guard that nobody closes, and a deadline: its thread and function are named, and it protects no more
// of: PEP 788
// stock: none
// set: RTFINALIZE_DEADLINE=1s
// exit: 0 or 120
// says: (?s)does not wait any longer.*guard 'uploader, in upload' of thread \d+.*was never closed
#include "native.h"

static void *late(void *done)
{
    if (PyThreadState_Ensure(native_guard) != NULL) {
        exit(95);
    }
    PyInterpreterGuard_Close(native_guard);
    sem_post(done);
    return NULL;
}

int main(void)
{
    sem_t done;
    sem_init(&done, 0, 0);
    native_open_guard();
    int status = Py_FinalizeEx();
    host_thread(late, &done);
    host_wait(&done);
    return status < 0 ? 120 : 0;
}
