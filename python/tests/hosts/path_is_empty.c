// title: code has emptied the path of modules, and nothing of the standard library was imported before
// of: the header
// stock: none
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

int main(void)
{
    PyConfig config;
    int code;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.site_import = 0;
    NEED(!PyStatus_Exception(rtpy_start(&config)));
    PyConfig_Clear(&config);
    host_run("import sys\n"
             "sys.path.clear()\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n");
    code = host_finalize();
    NEED(!Py_IsInitialized());
    host_lives_on();
    return code;
}
