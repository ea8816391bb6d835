/*
 * The end of the process, after finalization.
 *
 * exit() runs the handlers of libraries, which free what threads may be working with: OpenSSL's do, and a daemon
 * thread in the middle of a handshake crashes (gh-114653). A thread that sleeps or waits comes to no such place
 * before the process is gone. So the handlers run, as everybody expects, unless a thread of Python's is found at
 * work in native code.
 */
#include "Python.h"
#include "pycore_initconfig.h"
#include "pycore_interp.h"
#include "pycore_pystate.h"
#include "adapter.h"

#include <errno.h>
#ifndef MS_WINDOWS
#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <dirent.h>
#include <malloc.h>
#include <sys/syscall.h>
#endif

/* ---- settings ---- */

char *_PyRt_Setting(PyInterpreterState *interp, const char *name)
{
    wchar_t xname[64];
    size_t length = strlen(name);
    for (size_t i = 0; i <= length && i < Py_ARRAY_LENGTH(xname); i++) {
        xname[i] = (wchar_t)name[i];
    }
    const wchar_t *option = _Py_get_xoption(&_PyInterpreterState_GetConfig(interp)->xoptions, xname);
    const wchar_t *value = option == NULL ? NULL : wcschr(option, L'=');
    if (value != NULL) {
        return _Py_EncodeLocaleRaw(value + 1, NULL);
    }
    const char *text = getenv(name);
    return text == NULL || *text == 0 ? NULL : _PyMem_RawStrdup(text);
}

/* Of two words; neither, or none given, is `otherwise`. */
static int one_of(PyInterpreterState *interp, const char *name, const char *yes, const char *no, int otherwise)
{
    char *text = _PyRt_Setting(interp, name);
    int chosen = otherwise;
    if (text != NULL) {
        if (strcmp(text, yes) == 0) {
            chosen = 1;
        }
        else if (strcmp(text, no) == 0) {
            chosen = 0;
        }
        else {
            _PyRt_Say("%s is '%s'; it takes %s or %s", name, text, yes, no);
        }
        PyMem_RawFree(text);
    }
    return chosen;
}

static void nobody_is_inside(void);
static int ends_at_once;

void _PyRt_ReadSettings(PyInterpreterState *interp)
{
    nobody_is_inside();
    _PyRt_LateThreadsEnd = one_of(interp, "RTFINALIZE_LATE_THREADS", "end", "park", _PyRt_LateThreadsEndInRelease);
    ends_at_once = one_of(interp, "RTFINALIZE_END", "exit", "return", 0);
}

void _PyRt_DumpOnSignal(PyInterpreterState *interp)
{
    char *name = _PyRt_Setting(interp, "RTFINALIZE_DUMP_ON");
    if (name == NULL) {
        return;
    }
    /* faulthandler's, which needs neither the interpreter's lock nor the main thread: that may be stuck. */
    PyObject *signals = strncmp(name, "SIG", 3) == 0 && name[3] != '_' ? PyImport_ImportModule("_signal") : NULL;
    PyObject *number = signals == NULL ? NULL : PyObject_GetAttrString(signals, name);
    PyObject *module = number == NULL ? NULL : PyImport_ImportModule("faulthandler");
    PyObject *done = module == NULL ? NULL : PyObject_CallMethod(module, "register", "O", number);
    if (done == NULL) {
        PyErr_Clear();
        _PyRt_Say("RTFINALIZE_DUMP_ON is '%s'; it takes a signal like SIGUSR1", name);
    }
    Py_XDECREF(done);
    Py_XDECREF(module);
    Py_XDECREF(number);
    Py_XDECREF(signals);
    PyMem_RawFree(name);
}

/* ---- who is still inside ---- */

#if defined(__linux__) && defined(PY_HAVE_THREAD_NATIVE_ID)

/* By the system's numbers of them. Of more than these the first ones tell. */
#define INSIDE 64
static struct {
    unsigned long threads[INSIDE];
    size_t count;
} inside;

/* A life of Python comes to its end, and not the first one perhaps. */
static void nobody_is_inside(void)
{
    inside.count = 0;
}

void _PyRt_StillInside(PyThreadState *tstate)
{
    if (inside.count < INSIDE && tstate->native_thread_id != 0) {
        inside.threads[inside.count++] = tstate->native_thread_id;
    }
}

/* A call in which a thread waits for others or for time, and not for a disk. */
static int is_wait(long call, unsigned long descriptor)
{
    struct stat about;
    switch (call) {
    case SYS_read: case SYS_write: case SYS_readv: case SYS_writev:
        return fstat((int)descriptor, &about) == 0 && !S_ISREG(about.st_mode);
    case SYS_futex: case SYS_nanosleep: case SYS_clock_nanosleep: case SYS_restart_syscall:
    case SYS_ppoll: case SYS_pselect6: case SYS_epoll_pwait:
    case SYS_recvfrom: case SYS_recvmsg: case SYS_sendto: case SYS_sendmsg: case SYS_accept: case SYS_accept4:
    case SYS_connect: case SYS_wait4: case SYS_waitid: case SYS_rt_sigtimedwait: case SYS_rt_sigsuspend:
    case SYS_semtimedop: case SYS_msgrcv: case SYS_msgsnd: case SYS_flock: case SYS_io_getevents:
#ifdef SYS_poll
    case SYS_poll: case SYS_select: case SYS_epoll_wait: case SYS_pause:
#endif
        return 1;
    default:
        return 0;
    }
}

/* Whether the thread works; one that is gone does not, nor does one that nobody may look at. */
static int works(unsigned long thread)
{
    char path[64], text[256];
    long call;
    unsigned long descriptor;
    PyOS_snprintf(path, sizeof(path), "/proc/self/task/%lu/syscall", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0) {
        return 0;
    }
    text[length] = 0;
    if (strncmp(text, "running", 7) == 0) {
        return 1;
    }
    return sscanf(text, "%ld 0x%lx", &call, &descriptor) == 2 && call >= 0 && !is_wait(call, descriptor);
}

static int somebody_works(void)
{
    for (size_t i = 0; i < inside.count; i++) {
        if (works(inside.threads[i])) {
            return 1;
        }
    }
    return 0;
}

#else

static void nobody_is_inside(void)
{
}

void _PyRt_StillInside(PyThreadState *Py_UNUSED(tstate))
{
}

static int somebody_works(void)
{
    return 0;
}

#endif

/* ---- nobody but parked threads ---- */

#ifdef __linux__

static int parked;
static int finalizer; /* the system's number of the finalizing thread that has ended, or 0 */

void _PyRt_NobodyIsParked(void)
{
    parked = finalizer = 0;
}

/* A zombie is a main thread that has ended before the others. */
static int is_zombie(const char *thread)
{
    char path[300], text[512];
    PyOS_snprintf(path, sizeof(path), "/proc/self/task/%.200s/stat", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[length > 0 ? length : 0] = 0;
    const char *state = strrchr(text, ')');
    return length <= 0 || (state != NULL && state[1] == ' ' && state[2] == 'Z');
}

static void end_if_nobody_is_left(void)
{
    int gone = _Py_atomic_load_int(&finalizer), left = 0;
    DIR *tasks = gone == 0 ? NULL : opendir("/proc/self/task");
    if (tasks == NULL) {
        return;
    }
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        left += task->d_name[0] != '.' && atoi(task->d_name) != gone && !is_zombie(task->d_name);
    }
    closedir(tasks);
    if (left > 0 && left == _Py_atomic_load_int(&parked)) {
        exit(0);
    }
}

void _PyRt_Parks(void)
{
    /* Sequentially consistent, as the store below: the last one to come sees that it is the last. */
    _Py_atomic_add_int(&parked, 1);
    end_if_nobody_is_left();
}

static void finalizer_ends(void *Py_UNUSED(arg))
{
    if (rt_state_inline() == RT_STATE_FINALIZED) {
        _Py_atomic_store_int(&finalizer, (int)syscall(SYS_gettid));
        end_if_nobody_is_left();
    }
}

void _PyRt_HasFinalized(void)
{
    static pthread_key_t key;
    static int is_made;
    if (!_PyRt_LateThreadsEnd && (is_made || pthread_key_create(&key, finalizer_ends) == 0)) {
        is_made = 1;
        pthread_setspecific(key, &key);
    }
}

#else

void _PyRt_NobodyIsParked(void)
{
}

void _PyRt_Parks(void)
{
}

void _PyRt_HasFinalized(void)
{
}

#endif

/* ---- the end ---- */

void _PyRt_EndsSoon(void)
{
#if defined(__GLIBC__) && defined(M_TRIM_THRESHOLD)
    /* Memory is not worth giving back to the system piece by piece: with many open files that takes longer than
     * all the rest. */
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

#ifndef MS_WINDOWS

static sem_t is_flushed;

static void *flush_stdio(void *Py_UNUSED(arg))
{
    fflush(NULL);
    sem_post(&is_flushed);
    return NULL;
}

/* What C code has in its own files. A thread that sits in one of them may have its lock, so it is another one
 * that flushes, and gets a moment. */
static void flush_stdio_in_time(void)
{
    pthread_t thread;
    struct timespec until;
    if (sem_init(&is_flushed, 0, 0) != 0 || clock_gettime(CLOCK_REALTIME, &until) != 0
        || pthread_create(&thread, NULL, flush_stdio, NULL) != 0) {
        return;
    }
    until.tv_sec += 1;
    while (sem_timedwait(&is_flushed, &until) < 0 && errno == EINTR) {
    }
}

void _PyRt_End(int code)
{
    /* A host that goes on, or Python in it that does, is not at its end. */
    if (ends_at_once || somebody_works()) {
        flush_stdio_in_time();
        _exit(code);
    }
}

#else

void _PyRt_End(int code)
{
    if (ends_at_once) {
        fflush(stdout);
        fflush(stderr);
        _exit(code);
    }
}

#endif
