// title: daemon threads of one life wake up in the next
// of: bpo-39877, gh-127893
#include "host.h"

int main(void)
{
    int ends[2];
    char code[512];
    if (pipe(ends) < 0) {
        return 93;
    }
    snprintf(code, sizeof code,
             "import os, threading\n"
             "ready = threading.Barrier(9)\n"
             "def wait():\n"
             "    ready.wait()\n"
             "    while True:\n"
             "        os.read(%d, 1)\n"
             "for _ in range(8):\n"
             "    threading.Thread(target=wait, daemon=True).start()\n"
             "ready.wait()\n",
             ends[0]);
    host_start();
    host_run(code);
    Py_FinalizeEx();

    host_start();
    if (write(ends[1], "wake up!", 8) != 8) {
        return 94;
    }
    host_run("import time; time.sleep(0.1)");
    host_run("import json; assert json.loads('[1]') == [1]");
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
