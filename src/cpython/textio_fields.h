/* Part of textio.c: what a text file has for its finalization. */
#include "adapter.h"

typedef struct {
    _PyRt_File file;
    struct rt_record *newest;
    uint32_t forks; /* the process that the records are of */
    Py_ssize_t dropped; /* bytes of records that the buffer refused */
} rt_text;
