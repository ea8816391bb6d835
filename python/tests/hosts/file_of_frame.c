// title: a file that only a daemon thread's frame refers to
// of: map
// arrives: alive: b"alive"
// arrives: log: b"record" * 100
// stock: always
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("import threading, time\n"
             "def work():\n"
             "    file = open('log', 'wb')\n"
             "    file.write(b'record' * 100)\n"
             "    ready.set()\n"
             "    while True:\n"
             "        time.sleep(0.001)\n"
             "ready = threading.Event()\n"
             "threading.Thread(target=work, daemon=True).start()\n"
             "ready.wait()\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
