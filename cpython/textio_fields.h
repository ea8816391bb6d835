/* Part of textio.c: what a text file has for its finalization. */
#include "adapter.h"

typedef struct {
    _PyRt_File file;
    struct rt_record *newest;
    struct rt_record first; /* most often there is no other */
    Py_ssize_t new;     /* bytes of the write() that flushes now */
    Py_ssize_t dropped; /* bytes of records that the buffer refused */
} rt_text;
