// title: a subinterpreter ends with records in files on full pipes that nobody reads, and a deadline
// of: map
// stock: always
// set: RTFINALIZE_DEADLINE=1s
// exit: 120
// counts: 28
#include "subinterpreter_files.h"

int main(void)
{
    host_start();
    PyThreadState *self = PyThreadState_Get(), *sub = files_interpreter(0);
    files_keep("import os\n"
               "def full_pipe():\n"
               "    reader, writer = os.pipe()\n"
               "    os.set_blocking(writer, False)\n"
               "    while True:\n"
               "        try:\n"
               "            os.write(writer, bytes(4096))\n"
               "        except BlockingIOError:\n"
               "            os.set_blocking(writer, True)\n"
               "            return writer\n"
               "kept, other = open(full_pipe(), 'wb'), open(full_pipe(), 'w')\n"
               "for _ in range(2):\n"
               "    kept.write(b'record\\n')\n"
               "    other.write('record\\n')\n");
    Py_EndInterpreter(sub);
    PyThreadState_Swap(self);
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
