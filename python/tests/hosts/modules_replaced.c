// title: code has replaced modules that the end needs, by what is not like them
// of: gevent, eventlet
// stock: none
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("import sys\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n"
             "for name in 'threading', 'os', 'stat', 'atexit', 'gc', '_io', 'io', '_thread', '_signal':\n"
             "    sys.modules[name] = object()\n");
    code = host_finalize();
    NEED(!Py_IsInitialized());
    host_lives_on();
    return code;
}
