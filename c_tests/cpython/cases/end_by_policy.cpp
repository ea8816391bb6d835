// title: a static object of C++ calls Python after its end, and the process was asked to end without exit handlers
// of: static destructor
// stock: always
// set: RTFINALIZE_END=exit
#include "host.h"

class Global {
public:
    ~Global() { PyGILState_Release(PyGILState_Ensure()); }
};

static Global global;

int main(int argc, char **argv)
{
    (void)argc;
    char script[] = "-c", pass[] = "pass";
    char *arguments[] = {argv[0], script, pass, nullptr};
    return Py_BytesMain(3, arguments);
}
