// title: Py_EndInterpreter while a native thread works in the interpreter by its view; others come after
// of: PEP 788
// stock: none
// arrives: out: b"worked to the end"
#include "subinterpreter.h"

int main(void)
{
    pthread_t thread;
    host_start();
    PyThreadState *self = PyThreadState_Get();
    PyThreadState *sub = subinterpreter_start(&thread);
    PyEval_RestoreThread(sub);
    sem_post(&ending);
    Py_EndInterpreter(sub);
    if (!worked) {
        return 95;
    }
    subinterpreter_is_gone(NULL);
    pthread_join(thread, NULL);

    /* The next one is another, wherever it is. */
    sub = Py_NewInterpreter();
    if (sub == NULL || pthread_create(&thread, NULL, subinterpreter_is_gone, NULL) != 0) {
        return 98;
    }
    subinterpreter_is_gone(NULL);
    pthread_join(thread, NULL);
    Py_EndInterpreter(sub);
    PyThreadState_Swap(self);
    PyInterpreterView_Close(view);
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
