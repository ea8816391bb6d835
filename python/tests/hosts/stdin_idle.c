// title: a daemon thread waits for a line on an idle stdin
// of: map, gh-129536
// stdin: idle
// arrives: alive: b"alive"
// stock: always
#include "host.h"

int main(void)
{
    int code;
    host_start();
    host_run("import sys, threading, time\n"
             "reader = threading.Thread(target=sys.stdin.buffer.readline, daemon=True)\n"
             "reader.start()\n"
             "while not open('/proc/self/task/%d/syscall' % reader.native_id, 'rb').read().startswith(b'0 0x0'):\n"
             "    time.sleep(0.001)\n");
    code = host_finalize();
    host_lives_on();
    return code;
}
