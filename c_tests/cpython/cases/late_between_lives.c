// title: daemon threads of one life wake up while the next is configured
// of: bpo-39877, gh-127893
#include "host.h"

#include <sys/ioctl.h>

int main(void)
{
    int ends[2], unread = 8, turns = 500;
    char code[512];
    if (pipe(ends) < 0) {
        return 93;
    }
    snprintf(code, sizeof code,
             "import os, threading\n"
             "ready = threading.Barrier(9)\n"
             "def wait():\n"
             "    ready.wait()\n"
             "    os.read(%d, 1)\n"
             "for _ in range(8):\n"
             "    threading.Thread(target=wait, daemon=True).start()\n"
             "ready.wait()\n",
             ends[0]);
    host_start();
    host_run(code);
    Py_FinalizeEx();

    PyPreConfig config;
    PyPreConfig_InitPythonConfig(&config);
    if (PyStatus_Exception(Py_PreInitialize(&config))) {
        return 95;
    }
    if (write(ends[1], "wake up!", 8) != 8) {
        return 94;
    }
    /* One that was stopped before its read reads nothing any more. */
    while (unread > 0 && turns-- > 0 && ioctl(ends[0], FIONREAD, &unread) == 0) {
        usleep(1000);
    }
    usleep(50 * 1000); /* they are on their way in */
    host_start();
    host_run("import json; assert json.loads('[1]') == [1]");
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
