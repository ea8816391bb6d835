// title: a thread and an exit callback sleep, with a deadline that passes before any of them
// of: the header
// stock: none
// seconds: 10
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

int main(void)
{
    rt_finalize_options options = {.struct_size = sizeof options, .deadline_us = 1000};
    host_start();
    host_run("import atexit, threading, time\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n"
             "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
             "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
             "atexit.register(time.sleep, 3600)\n");
    NEED(rtpy_finalize(&options, NULL) == RT_ERR_INCOMPLETE);
    host_lives_on();
    return 0;
}
