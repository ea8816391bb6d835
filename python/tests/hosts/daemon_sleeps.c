// title: daemon threads sleep, wait for a lock and for a socket as Python ends, and Python is started again
// of: map
// arrives: alive: b"alive"
#include "host.h"

int main(void)
{
    int code = 0, number;
    for (number = 0; number < 2; number++) {
        host_start();
        host_run("import queue, socket, threading, time\n"
                 "def sleep():\n"
                 "    time.sleep(3600)\n"
                 "pair = socket.socketpair()\n"
                 "calls = [sleep, queue.Queue().get, lambda: pair[0].recv(1)]\n"
                 "threads = [threading.Thread(target=call, daemon=True) for call in calls]\n"
                 "for thread in threads:\n"
                 "    thread.start()\n"
                 "def is_asleep(thread):\n"
                 "    with open('/proc/self/task/%d/wchan' % thread.native_id) as file:\n"
                 "        return file.read() not in ('', '0')\n"
                 "while not all(map(is_asleep, threads)):\n"
                 "    time.sleep(0.001)\n");
        code |= host_finalize();
    }
    host_lives_on();
    return code;
}
