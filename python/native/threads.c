/*
 * Threads that are stopped.
 *
 * A thread is stopped by a profile function: the interpreter calls it where a function, also one written in C, is
 * called or returns, and that is never inside the lock of a buffered file. It lets the interpreter's lock go and sleeps
 * for good. A thread inside a C call meets it as the call returns.
 */
#include "native.h"

typedef int (*profile_function)(PyObject *, PyFrameObject *, int, PyObject *);

/* Set for good on threads that the finalization needs: the finalizing thread and its helpers. */
static _Thread_local int goes_on;

void native_go_on(void)
{
    goes_on = 1;
}

/* The threads that were stopped, by Python's number of them. The lock is held for a few instructions. */
static pthread_mutex_t stopped_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long *stopped;
static size_t stopped_count, stopped_room;

void native_note_stopped(unsigned long ident)
{
    pthread_mutex_lock(&stopped_mutex);
    if (stopped_count == stopped_room) {
        size_t room = stopped_room == 0 ? 64 : stopped_room * 2;
        unsigned long *grown = realloc(stopped, room * sizeof *grown);
        if (grown != NULL) {
            stopped = grown;
            stopped_room = room;
        }
    }
    if (stopped_count < stopped_room) {
        stopped[stopped_count++] = ident;
    }
    pthread_mutex_unlock(&stopped_mutex);
}

static int stop(PyObject *self, PyFrameObject *frame, int what, PyObject *arg)
{
    (void)self;
    (void)frame;
    (void)what;
    (void)arg;
    if (goes_on) {
        return 0;
    }
    native_note_stopped(PyThread_get_thread_ident());
    PyEval_SaveThread();
    rt_thread_park();
    return -1; /* never */
}

/* (POSIX has such a pointer hold a function.) */
int native_look_up(const char *name, void *function)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

/* Sets it on every thread of the interpreter but the calling one. */
static int set_profile_function(profile_function function)
{
    void (*on_all)(profile_function, PyObject *);
    void (*on_this)(profile_function, PyObject *);
    int (*on)(PyThreadState *, profile_function, PyObject *);
    PyThreadState *(*first)(PyInterpreterState *), *(*next)(PyThreadState *), *thread;
    if (native_look_up("PyEval_SetProfileAllThreads", &on_all) && native_look_up("PyEval_SetProfile", &on_this)) {
        on_all(function, NULL);
        on_this(NULL, NULL);
        return 1;
    }
    if (!native_look_up("_PyEval_SetProfile", &on) || !native_look_up("PyInterpreterState_ThreadHead", &first)
        || !native_look_up("PyThreadState_Next", &next)) {
        return 0;
    }
    for (thread = first(PyInterpreterState_Get()); thread != NULL; thread = next(thread)) {
        if (thread != PyThreadState_Get() && on(thread, function, NULL) < 0) {
            PyErr_Clear();
        }
    }
    return 1;
}

int native_stop_other_threads(void)
{
    native_go_on();
    return set_profile_function(stop);
}

static PyObject *stop_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(native_stop_other_threads());
}

static PyObject *stopped_threads(PyObject *module, PyObject *unused)
{
    size_t count, i;
    PyObject *list;
    (void)module;
    (void)unused;
    pthread_mutex_lock(&stopped_mutex);
    count = stopped_count;
    pthread_mutex_unlock(&stopped_mutex);
    list = PyList_New(0);
    for (i = 0; list != NULL && i < count; i++) {
        PyObject *ident;
        pthread_mutex_lock(&stopped_mutex);
        ident = PyLong_FromUnsignedLong(stopped[i]);
        pthread_mutex_unlock(&stopped_mutex);
        if (ident == NULL || PyList_Append(list, ident) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(ident);
    }
    return list;
}

/* What another thread is doing, by the system's number of it. */
static PyObject *whereabouts(PyObject *module, PyObject *args)
{
    unsigned int number;
    char text[512];
    (void)module;
    if (!PyArg_ParseTuple(args, "I:whereabouts", &number)) {
        return NULL;
    }
    if (rt_thread_whereabouts(number, text, sizeof text, NULL) < 0) {
        text[0] = 0;
    }
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

PyMethodDef native_thread_methods[] = {
    {"stop_threads", stop_threads, METH_NOARGS, "Stop every other thread at its next call or return."},
    {"stopped_threads", stopped_threads, METH_NOARGS, "The identifiers of the threads that were stopped."},
    {"whereabouts", whereabouts, METH_VARARGS, "What a thread is doing, by the system's number of it."},
    {NULL, NULL, 0, NULL},
};
