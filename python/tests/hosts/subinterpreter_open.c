// title: a subinterpreter is open as Python ends
// of: embedding
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

int main(void)
{
    PyThreadState *self;
    int code;
    host_start();
    host_run("file = open('log', 'w')\nfile.write('a line')\n");
    self = PyThreadState_Get();
    NEED(Py_NewInterpreter() != NULL);
#ifndef STOCK
    NEED(rtpy_finalize(NULL, NULL) == RT_ERR_STATE); /* not from there */
    NEED(PyRun_SimpleString("1 + 1") == 0);
#endif
    PyThreadState_Swap(self);
    code = host_finalize();
    host_lives_on();
    return code;
}
