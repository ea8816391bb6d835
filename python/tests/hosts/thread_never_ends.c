// title: a thread that is no daemon never ends, and there is a deadline
// of: map
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// says: thread 'worker'
// arrives: alive: b"alive"
// arrives: log: b"a line"
// stock: always
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("import threading, time\n"
             "def work():\n"
             "    file = open('log', 'w')\n"
             "    file.write('a line')\n"
             "    ready.set()\n"
             "    while True:\n"
             "        time.sleep(0.01)\n"
             "ready = threading.Event()\n"
             "threading.Thread(target=work, name='worker').start()\n"
             "ready.wait()\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
