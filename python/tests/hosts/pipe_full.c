// title: a daemon thread sits in a write to a full pipe, with stdout's lock
// of: map, gh-42969
// exit: 120
// says: <stdout> is cut off: its lock is held by daemon thread 'logger'
// arrives: alive: b"alive"
// stock: always
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_fill_stdout();
    host_run("import sys, threading, time\n"
             "def logger():\n"
             "    sys.stdout.write('x' * 100000)\n"
             "    sys.stdout.flush()\n"
             "threading.Thread(target=logger, name='logger', daemon=True).start()\n"
             "while b' 0x1 ' not in b''.join(open('/proc/self/task/%s/syscall' % task, 'rb').read()\n"
             "                               for task in __import__('os').listdir('/proc/self/task')):\n"
             "    time.sleep(0.001)\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
