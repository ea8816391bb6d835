// title: records in files of two subinterpreters that are left open, and that a host still refers to
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
        files_interpreter(has_own_gil);
        files_write();
        PyThreadState_Swap(self);
    }
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
