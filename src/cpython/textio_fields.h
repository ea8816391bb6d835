/* Part of textio.c: what a text file has for its finalization. */
#include "adapter.h"

/* A record on its way into the buffer. It lies on the stack of the thread that brings it; the stack of a
 * parked thread stays. */
struct rt_record {
    struct rt_record *older;
    PyObject *bytes; /* the thread's reference */
};

typedef struct {
    _PyRt_File file;
    struct rt_record *newest;
    uint32_t forks; /* the process that the records are of */
    Py_ssize_t dropped; /* bytes of records that the buffer refused */
} rt_text;
