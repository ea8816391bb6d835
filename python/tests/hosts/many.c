// title: five hundred daemon threads wait in five ways, and thousands of files are open, as Python ends
// of: the header
// stock: none
// seconds: 30
// arrives: alive: b"alive"
// arrives: arrived: b"all"
#include "host.h"

int main(void)
{
    int code;
    FILE *last;
    host_start();
    host_run("import queue, resource, threading, time\n"
             "limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
             "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
             "lock = threading.Lock()\n"
             "lock.acquire()\n"
             "waits = (lambda: time.sleep(3600)), lock.acquire, threading.Event().wait, queue.Queue().get, \\\n"
             "    queue.SimpleQueue().get\n"
             "for wait in waits * 100:\n"
             "    threading.Thread(target=wait, daemon=True).start()\n"
             "files = [open('%d' % i, 'w') for i in range(10000 if limit < 0 else min(limit - 50, 10000))]\n"
             "for file in files:\n"
             "    file.write('x')\n"
             "open('number', 'w').write(str(len(files)))\n");
    code = host_finalize();
    NEED(system("test $(find . -name '[0-9]*' -size 1c | wc -l) = $(cat number)") == 0);
    last = fopen("arrived", "w");
    NEED(last != NULL && fputs("all", last) >= 0 && fclose(last) == 0);
    host_lives_on();
    return code;
}
