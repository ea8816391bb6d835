/* Part of bufferedio.c: what a buffered file has for its finalization. */
#include "adapter.h"
#include "pycore_lock.h"

/* What the owner of the lock has offered to the raw file, and has no answer to yet. */
enum rt_offer {
    RT_OFFER_NONE,
    RT_OFFER_BUFFERED, /* from the buffer: accepted bytes */
    RT_OFFER_DIRECT,   /* from the caller's memory: a record that is not accepted before it is taken */
};

typedef struct {
    _PyRt_File file;
    int fd; /* the descriptor of a FileIO below, or -1 */
    enum rt_offer offer;
    enum rt_offer ended; /* the one before */
    int is_plain; /* the raw file is a FileIO: what write(2) took is what was written */
    Py_ssize_t offered;
    const char *next;     /* where a direct record goes on; NULL when the lock is free */
    Py_ssize_t taken;     /* how much of it was taken */
    const char *orphan;   /* where the record stopped whose owner was parked, until it is handed in again */
    Py_ssize_t orphan_taken;
    Py_ssize_t unknown;   /* bytes in a raw file's write() that will never return */
    Py_ssize_t recovered; /* bytes taken over with the lock */
    PyMutex records_mutex; /* held for a few instructions */
    struct rt_record *records; /* on their way here from text files */
} rt_buffered;
