// title: an exit callback never ends, as another than the main thread ends Python, and there is a deadline
// of: map
// set: RTFINALIZE_DEADLINE=1s
// seconds: 10
// exit: 120
// says: in spin \(<string>
// arrives: alive: b"alive"
// arrives: log: b"a line"
// stock: always
#include "host.h"

static int code;

static void *end(void *unused)
{
    (void)unused;
#ifdef STOCK
    PyGILState_Ensure();
#endif
    code = host_finalize();
    return NULL;
}

int main(void)
{
    host_start();
    host_run("import atexit\n"
             "@atexit.register\n"
             "def spin():\n"
             "    while True:\n"
             "        pass\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n");
    PyEval_SaveThread();
    NEED(pthread_join(host_thread(end, NULL), NULL) == 0);
    host_lives_on();
    return code;
}
