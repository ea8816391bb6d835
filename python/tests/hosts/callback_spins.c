// title: an exit callback never ends, and there is a deadline
// of: map
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// says: in spin \(<string>
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
             "def spin():\n"
             "    while True:\n"
             "        pass\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
