/*
 * What the hosts share. Each is compiled twice: with STOCK it ends Python by Py_FinalizeEx, and its native threads come
 * in by PyGILState_Ensure; without, by the functions of rtfinalize_python.h.
 */
#ifndef HOSTS_HOST_H
#define HOSTS_HOST_H

#include "rtfinalize_python.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEED(what)                                                                        \
    do {                                                                                  \
        if (!(what)) {                                                                    \
            fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #what); \
            _exit(99);                                                                    \
        }                                                                                 \
    } while (0)

#ifdef STOCK
typedef struct {
    PyGILState_STATE state;
} host_guard;
#else
typedef rtpy_guard host_guard;
#endif

static inline void host_start(void)
{
#ifdef STOCK
    Py_InitializeEx(0);
#else
    PyStatus status = rtpy_start(NULL);
    if (PyStatus_Exception(status)) {
        fprintf(stderr, "rtpy_start: %s\n", status.err_msg);
        _exit(98);
    }
#endif
}

/* Whether the thread may touch Python. */
static inline int host_ensure(const char *name, host_guard *guard)
{
#ifdef STOCK
    (void)name;
    guard->state = PyGILState_Ensure();
    return 1;
#else
    rt_status status = rtpy_ensure(name, guard);
    NEED(status == RT_OK || status == RT_ERR_FINALIZING);
    return status == RT_OK;
#endif
}

static inline void host_release(host_guard *guard)
{
#ifdef STOCK
    PyGILState_Release(guard->state);
#else
    rtpy_release(guard);
#endif
}

static inline void host_run(const char *code)
{
    NEED(PyRun_SimpleString(code) == 0);
}

/* The exit code that says how Python ended: 0, or 120 if something was lost or cut short. Its report is written where
 * the environment has it. */
static inline int host_finalize(void)
{
#ifdef STOCK
    return Py_FinalizeEx() < 0 ? 120 : 0;
#else
    return rtpy_finalize(NULL, NULL) < 0 ? 120 : 0;
#endif
}

/* A thread that may come and go as long as it likes: without an end of Python that knows of it, nobody can join it. */
static inline void host_join(pthread_t thread)
{
#ifdef STOCK
    (void)thread;
#else
    NEED(pthread_join(thread, NULL) == 0);
#endif
}

static inline pthread_t host_thread(void *(*start)(void *), void *argument)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, start, argument) == 0);
    return thread;
}

static inline void host_wait(sem_t *event)
{
    while (sem_wait(event) < 0 && errno == EINTR) {
    }
}

/* For a thread of which it is not sure that it comes. */
static inline int host_wait_a_while(sem_t *event)
{
    struct timespec end;
    int result;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 1;
    while ((result = sem_timedwait(event, &end)) < 0 && errno == EINTR) {
    }
    return result == 0;
}

/* Stdout is a pipe that nobody reads, filled to the last byte. */
static inline void host_fill_stdout(void)
{
    host_run("import os\n"
             "reader, writer = os.pipe()\n"
             "os.dup2(writer, 1)\n"
             "os.set_blocking(writer, False)\n"
             "try:\n"
             "    while True:\n"
             "        os.write(writer, bytes(1 << 16))\n"
             "except BlockingIOError:\n"
             "    pass\n"
             "try:\n"
             "    while True:\n"
             "        os.write(writer, b'.')\n"
             "except BlockingIOError:\n"
             "    pass\n"
             "os.set_blocking(writer, True)\n");
}

/* The host lives on: it still writes what it has to say. */
static inline void host_lives_on(void)
{
    FILE *file = fopen("alive", "w");
    NEED(file != NULL && fputs("alive", file) >= 0 && fclose(file) == 0);
}

#endif
