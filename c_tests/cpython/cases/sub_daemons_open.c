// title: a subinterpreter is left open with daemon threads, one of whose frames has a file
// of: map
// stock: always
// arrives: out: b"".join(b"record %d\n" % i for i in range(600))
#include "subinterpreter_files.h"

int main(void)
{
    host_start();
    PyThreadState *self = PyThreadState_Get();
    files_interpreter(0);
    host_run("import threading, time\n"
             "written = threading.Event()\n"
             "def write():\n"
             "    file = open('out', 'w')\n"
             "    for number in range(600):\n"
             "        file.write(f'record {number}\\n')\n"
             "    written.set()\n"
             "    time.sleep(600)\n"
             "def poll():\n"
             "    while True:\n"
             "        time.sleep(0.0001)\n"
             "for target in poll, poll, poll, write:\n"
             "    threading.Thread(target=target, daemon=True).start()\n"
             "written.wait()\n");
    PyThreadState_Swap(self);
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
