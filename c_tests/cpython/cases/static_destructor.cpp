// title: a C++ static destructor calls Py_FinalizeEx when the process exits
// of: static destructor
// exit: 0 or 120
// arrives: out: b"".join(b"record %d\n" % i for i in range(600))
#include "host.h"

/* As a library that embeds Python without telling its users. */
class Library {
public:
    Library() { host_start(); }
    ~Library() { Py_FinalizeEx(); }
};

static Library library;

int main()
{
    host_run("import threading, time\n"
             "written = threading.Event()\n"
             "def work():\n"
             "    file = open('out', 'wb')\n"
             "    for number in range(600):\n"
             "        file.write(b'record %d\\n' % number)\n"
             "    written.set()\n"
             "    while True:\n"
             "        time.sleep(0.001)\n"
             "threading.Thread(target=work, daemon=True).start()\n"
             "written.wait()\n");
    exit(0);
}
