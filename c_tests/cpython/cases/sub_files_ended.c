// title: records in files of two subinterpreters that a host still refers to when they have ended
// of: map
// stock: always
// arrives: text: b"".join(b"record %d\n" % i for i in range(300)) * 2
// arrives: bytes: b"".join(b"record %d\n" % i for i in range(300)) * 2
// arrives: raw: b"".join(b"record %d\n" % i for i in range(300)) * 2
#include "subinterpreter_files.h"

int main(void)
{
    host_start();
    PyThreadState *self = PyThreadState_Get();
    for (int has_own_gil = 0; has_own_gil < 2; has_own_gil++) {
        PyThreadState *sub = files_interpreter(has_own_gil);
        files_write();
        Py_EndInterpreter(sub);
        PyThreadState_Swap(self);
    }
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
