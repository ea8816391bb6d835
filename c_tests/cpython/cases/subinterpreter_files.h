/* Subinterpreters with files of every kind that the host keeps referring to, also when they have ended. */

#ifndef CASES_SUBINTERPRETER_FILES_H
#define CASES_SUBINTERPRETER_FILES_H

#include "host.h"

/* Leaves the main interpreter, and returns the thread state of a new one that is current. */
static inline PyThreadState *files_interpreter(int has_own_gil)
{
    PyThreadState *sub = NULL;
    PyInterpreterConfig config = {
        .use_main_obmalloc = !has_own_gil,
        .allow_fork = 1,
        .allow_exec = 1,
        .allow_threads = 1,
        .allow_daemon_threads = !has_own_gil,
        .check_multi_interp_extensions = 1,
        .gil = has_own_gil ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL,
    };
    if (PyStatus_Exception(Py_NewInterpreterFromConfig(&sub, &config))) {
        exit(98);
    }
    return sub;
}

/* Runs `code`, and keeps a reference to what it calls `kept`. */
static inline void files_keep(const char *code)
{
    host_run(code);
    PyObject *module = PyImport_AddModule("__main__");
    if (module == NULL || PyObject_GetAttrString(module, "kept") == NULL) {
        exit(97);
    }
}

/* Writes less than a buffer holds to `text`, `bytes` and `raw`: a text file, a binary one, and one above
 * a raw stream written in Python. */
static inline void files_write(void)
{
    files_keep("import io, os\n"
               "class Raw(io.RawIOBase):\n"
               "    def __init__(self, name):\n"
               "        self.descriptor = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)\n"
               "    def writable(self):\n"
               "        return True\n"
               "    def write(self, data):\n"
               "        return os.write(self.descriptor, data)\n"
               "kept = open('text', 'a'), open('bytes', 'ab'), io.BufferedWriter(Raw('raw'))\n"
               "for number in range(300):\n"
               "    record = f'record {number}\\n'\n"
               "    kept[0].write(record)\n"
               "    kept[1].write(record.encode())\n"
               "    kept[2].write(record.encode())\n");
}

#endif
