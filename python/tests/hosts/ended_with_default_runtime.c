// title: a host ends its default runtime, and with it the Python inside, and starts both again
// of: embedding
// arrives: alive: b"alive"
// arrives: log: b"bye 0bye 1"
#include "host.h"

int main(void)
{
    int code = 0, number;
    for (number = 0; number < 2; number++) {
        char program[200];
        host_start();
        snprintf(program, sizeof program,
                 "import atexit\nfile = open('log', 'a')\natexit.register(file.write, 'bye %d')\n", number);
        host_run(program);
#ifdef STOCK
        code |= host_finalize();
#else
        code |= rt_finalize_ex() < 0 ? 120 : 0;
        NEED(!Py_IsInitialized());
        NEED(rtpy_finalize(NULL, NULL) == RT_OK); /* again: nothing is done */
        NEED(rt_initialize(NULL) == RT_OK);
#endif
    }
    host_lives_on();
    return code;
}
