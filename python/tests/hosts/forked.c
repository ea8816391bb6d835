// title: a host forks while daemon threads sleep, and the child ends Python too
// of: the header
// stock: none
// seconds: 20
// arrives: alive: b"alive"
// arrives: log: b"a line"
// arrives: child: b"a line of the child"
#include "host.h"

#include <sys/wait.h>

int main(void)
{
    pid_t child;
    int code, status;
    host_start();
    host_run("import threading, time\n"
             "for _ in range(3):\n"
             "    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
             "file = open('log', 'w')\n");
    PyOS_BeforeFork();
    child = fork();
    if (child == 0) {
        PyOS_AfterFork_Child();
        host_run("file = open('child', 'w')\n"
                 "file.write('a line of the child')\n");
        NEED(rtpy_finalize(NULL, NULL) == RT_OK);
        NEED(!Py_IsInitialized());
        host_start();
        host_run("import threading, time\n"
             "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n");
        NEED(rtpy_finalize(NULL, NULL) == RT_OK);
        _exit(0);
    }
    PyOS_AfterFork_Parent();
    host_run("file.write('a line')\n");
    NEED(waitpid(child, &status, 0) == child && status == 0);
    code = host_finalize();
    NEED(!Py_IsInitialized());
    child = fork();
    if (child == 0) {
        /* The threads that were stopped are not here, and others may have their numbers. */
        host_start();
        host_run("import threading\n"
                 "def spin():\n"
                 "    while True:\n"
                 "        len(())\n"
                 "for _ in range(4):\n"
                 "    threading.Thread(target=spin, daemon=True).start()\n");
        NEED(rtpy_finalize(NULL, NULL) == RT_OK);
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child && status == 0);
    host_lives_on();
    return code;
}
