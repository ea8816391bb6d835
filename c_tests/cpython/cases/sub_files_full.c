// title: records of two subinterpreters in files on a full disk: one has ended, one is left open
// of: disk full
// stock: always
// exit: 120
// counts: 8400
#include "subinterpreter_files.h"

/* One that the host refers to, and one that goes with its module. */
static void write_to_full(void)
{
    files_keep("kept, other = open('/dev/full', 'wb'), open('/dev/full', 'w')\n"
               "for number in range(300):\n"
               "    kept.write(b'record\\n')\n"
               "    other.write('record\\n')\n");
}

int main(void)
{
    host_start();
    PyThreadState *self = PyThreadState_Get(), *ended = files_interpreter(0);
    write_to_full();
    Py_EndInterpreter(ended);
    PyThreadState_Swap(self);
    files_interpreter(1);
    write_to_full();
    PyThreadState_Swap(self);
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
