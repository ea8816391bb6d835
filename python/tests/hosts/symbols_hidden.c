// title: a daemon thread runs, and a subinterpreter has a file, in a host that hides its symbols
// of: the header
// stock: none
// link: -Wl,--no-export-dynamic
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

int main(void)
{
    PyThreadState *self, *sub;
    int code;
    host_start();
    host_run("import threading\n"
             "def spin():\n"
             "    while True:\n"
             "        len(())\n"
             "threading.Thread(target=spin, daemon=True).start()\n");
    NEED(rtpy_finalize(NULL, NULL) == RT_OK);
    NEED(!Py_IsInitialized());
    host_start();
    self = PyThreadState_Get();
    sub = Py_NewInterpreter();
    NEED(sub != NULL);
    host_run("file = open('log', 'w')\n"
             "file.write('a line')\n");
    PyThreadState_Swap(self);
    code = host_finalize();
    host_lives_on();
    return code;
}
