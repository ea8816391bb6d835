/*
 * What the C tests use of POSIX beyond what MinGW has (threads, read, write, close, usleep), over
 * Windows.
 */
#ifndef WINDOWS_POSIX_H
#define WINDOWS_POSIX_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* MinGW's header does not say that it does not return. */
#ifdef __cplusplus
extern "C"
#endif
__attribute__((noreturn)) void pthread_exit(void *value);

static inline int pipe(int ends[2])
{
    return _pipe(ends, 65536, _O_BINARY | _O_NOINHERIT);
}

/* MinGW's gives 0. */
static inline int posix_dup2(int from, int to)
{
    return _dup2(from, to) == 0 ? to : -1;
}
#define dup2 posix_dup2

static inline int setenv(const char *name, const char *value, int replace)
{
    (void)replace;
    return _putenv_s(name, value);
}

static inline int unsetenv(const char *name)
{
    return _putenv_s(name, "");
}

/* No signal ends it there. */
static inline int pause(void)
{
    Sleep(INFINITE);
    return -1;
}

/* A file of its own, gone with its last descriptor; `path` gets its name. -1 if there is none. */
static inline int temporary_file(char path[MAX_PATH])
{
    char folder[MAX_PATH];
    if (!GetTempPathA(sizeof folder, folder) || !GetTempFileNameA(folder, "rtf", 0, path)) {
        return -1;
    }
    return _open(path, _O_RDWR | _O_BINARY | _O_TEMPORARY | _O_NOINHERIT);
}

/* That file once more. */
static inline int temporary_file_again(const char *path)
{
    return _open(path, _O_RDWR | _O_BINARY | _O_TEMPORARY | _O_NOINHERIT);
}

#endif
