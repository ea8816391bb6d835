// title: code has made importing impossible
// of: the header
// stock: none
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("import builtins, sys\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n"
             "sys.modules.clear()\n"
             "sys.meta_path.clear()\n"
             "sys.path.clear()\n"
             "del builtins.__import__\n");
    code = host_finalize();
    NEED(!Py_IsInitialized());
    host_lives_on();
    return code;
}
