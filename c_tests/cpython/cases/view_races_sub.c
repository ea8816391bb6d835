// title: the same with a subinterpreter and Py_EndInterpreter, ten times
// of: PEP 788
// stock: none
// seconds: 30
#include "callers.h"

int main(void)
{
    host_start();
    PyThreadState *self = PyThreadState_Get();
    for (int count = 0; count < 10; count++) {
        PyThreadState *sub = Py_NewInterpreter();
        if (sub == NULL) {
            return 99;
        }
        callers_start();
        Py_EndInterpreter(sub);
        callers_end();
        PyThreadState_Swap(self);
    }
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
