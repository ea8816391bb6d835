/*
 * Time, threads and descriptors past what programs put in the place of Python's own functions.
 *
 * gevent and eventlet replace `time.sleep`, `threading.get_ident` and `select.poll` by functions that switch to other work,
 * and that number greenlets; libraries for tests stop `time.monotonic`. The end of a program relies on none of these.
 */
#include "native.h"

static PyObject *now(PyObject *module, PyObject *unused)
{
    struct timespec at = native_time_in(0);
    (void)module;
    (void)unused;
    return PyFloat_FromDouble((double)at.tv_sec + (double)at.tv_nsec / 1e9);
}

static PyObject *pause_for(PyObject *module, PyObject *args)
{
    double seconds;
    struct timespec time;
    (void)module;
    if (!PyArg_ParseTuple(args, "d:pause", &seconds)) {
        return NULL;
    }
    time.tv_sec = (time_t)seconds;
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    Py_BEGIN_ALLOW_THREADS
    nanosleep(&time, NULL);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *this_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromUnsignedLong(PyThread_get_thread_ident());
}

static PyObject *this_native_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(syscall(SYS_gettid));
}

/* The main thread, and the process whose that is. */
static unsigned long main_ident;
static pid_t main_process;

void native_note_main_thread(void)
{
    if (syscall(SYS_gettid) == getpid()) {
        main_ident = PyThread_get_thread_ident();
        main_process = getpid();
    }
}

static PyObject *main_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    native_note_main_thread();
    return PyLong_FromUnsignedLong(main_process == getpid() ? main_ident : 0);
}

static PyObject *has_room(PyObject *module, PyObject *args)
{
    struct pollfd of = {.events = POLLOUT};
    int milliseconds, ready;
    (void)module;
    if (!PyArg_ParseTuple(args, "ii:has_room", &of.fd, &milliseconds)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    ready = poll(&of, 1, milliseconds);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(ready > 0);
}

PyMethodDef native_clock_methods[] = {
    {"now", now, METH_NOARGS, "The seconds of the monotonic clock."},
    {"pause", pause_for, METH_VARARGS, "Sleep so many seconds, or until a signal comes."},
    {"this_thread", this_thread, METH_NOARGS, "The identifier of the calling thread."},
    {"this_native_thread", this_native_thread, METH_NOARGS, "The system's number of the calling thread."},
    {"main_thread", main_thread, METH_NOARGS, "The identifier of the process's first thread; 0 if it is not known."},
    {"has_room", has_room, METH_VARARGS, "Whether a descriptor can be written to, within so many milliseconds."},
    {NULL, NULL, 0, NULL},
};
