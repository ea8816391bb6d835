// title: a destructor never ends as modules are cleared, and there is a deadline
// of: map
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// arrives: alive: b"alive"
// stock: always
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("class Stuck:\n"
             "    def __del__(self):\n"
             "        while True:\n"
             "            pass\n"
             "stuck = Stuck()\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
