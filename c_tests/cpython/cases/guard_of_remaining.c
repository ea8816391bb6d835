// title: Py_FinalizeEx while a native thread works, by its view, in an interpreter that nobody ended
// of: PEP 788
// stock: none
// arrives: out: b"worked to the end"
#include "subinterpreter.h"

int main(void)
{
    pthread_t thread;
    host_start();
    PyThreadState *self = PyThreadState_Get();
    subinterpreter_start(&thread);
    PyEval_RestoreThread(self);
    sem_post(&ending);
    int status = Py_FinalizeEx();
    if (!worked) {
        return 95;
    }
    pthread_join(thread, NULL);
    subinterpreter_is_gone(NULL);
    PyInterpreterView_Close(view);
    return status < 0 ? 120 : 0;
}
