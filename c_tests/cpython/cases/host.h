/* What the hosts share: a Python that starts beside its build, threads and events. */

#ifndef CASES_HOST_H
#define CASES_HOST_H

#include <Python.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The build's modules are found from the place of the program, which stands beside the build's python. */
static inline void host_start(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) {
        exit(90);
    }
    path[length] = '\0';

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, path);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

static inline void host_run(const char *code)
{
    if (PyRun_SimpleString(code) < 0) {
        exit(91);
    }
}

static inline void host_thread(void *(*start)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, start, argument) != 0) {
        exit(92);
    }
    pthread_detach(thread);
}

static inline void host_wait(sem_t *event)
{
    while (sem_wait(event) < 0 && errno == EINTR) {
    }
}

/* For a thread that may never come again: a parked one is as good as one that got an answer. */
static inline void host_wait_a_while(sem_t *event)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 1;
    while (sem_timedwait(event, &end) < 0 && errno == EINTR) {
    }
}

#endif
