// title: code in Python uses the package, whose end would be the program's; the end is the host's
// of: embedding
// arrives: alive: b"alive"
// arrives: log: b"bye"
#include "host.h"

int main(void)
{
    int code;
    host_start();
    /* What the package's install() does, in short; the package itself need not be there. */
    host_run("import atexit, sys, threading, types\n"
             "package = types.ModuleType('rtfinalize')\n"
             "shutdown = threading._shutdown\n"
             "def hand_over():\n"
             "    threading._shutdown = shutdown\n"
             "package._hand_over = hand_over\n"
             "sys.modules['rtfinalize'] = package\n"
             "def ends_the_process():\n"
             "    import os\n"
             "    os._exit(96)\n");
#ifndef STOCK
    host_run("threading._shutdown = ends_the_process\n");
#endif
    host_run("file = open('log', 'w')\natexit.register(file.write, 'bye')\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
