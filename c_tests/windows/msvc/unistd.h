/*
 * What the C tests use of POSIX's <unistd.h>, and of its neighbours where Wine's headers have less
 * than MinGW's.
 */
#ifndef MSVC_UNISTD_H
#define MSVC_UNISTD_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <string.h>

typedef unsigned useconds_t;
typedef int sig_atomic_t;

static inline int usleep(useconds_t us)
{
    Sleep((us + 999) / 1000);
    return 0;
}

/* A new file; the six X at the end of `path` become its name. */
static inline int mkstemp(char *path)
{
    return _mktemp(path) == NULL ? -1
                                 : _open(path, _O_CREAT | _O_EXCL | _O_RDWR | _O_BINARY, 0600);
}

#endif
