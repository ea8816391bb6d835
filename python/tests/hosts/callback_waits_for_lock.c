// title: an exit callback waits for a lock for good, and there is a deadline
// of: map
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// says: in stuck \(<string>
// arrives: alive: b"alive"
// arrives: log: b"a line"
// stock: always
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("import atexit\n"
             "@atexit.register\n"
             "def stuck():\n"
             "    __import__('threading').Semaphore(0).acquire()\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
