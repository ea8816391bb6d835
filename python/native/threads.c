/*
 * Threads that are stopped.
 *
 * A thread is stopped by a profile function: the interpreter calls it where a function, also one written in C, is
 * called or returns, and that is never inside the lock of a buffered file. It lets the interpreter's lock go and sleeps
 * for good. A thread inside a C call meets it as the call returns. Without the interpreter's lock a thread may end while
 * it is given a profile function, which crashes; what `sys.monitoring` calls at the same events is set for all at once.
 */
#include "native.h"

typedef int (*profile_function)(PyObject *, PyFrameObject *, int, PyObject *);

/* Set for good on threads that the finalization needs: the finalizing thread and its helpers. */
static _Thread_local int goes_on;

/* The process is about to end on another thread: the finalizing thread stops, too. (Relaxed: who comes late, comes late.) */
static atomic_int stops_finalizing;

void native_go_on(void)
{
    goes_on = 1;
}

/* The threads that were stopped, by Python's number of them. The lock is held for a few instructions. */
static pthread_mutex_t stopped_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long *stopped;
static size_t stopped_count, stopped_room;
static pid_t stopped_process;

/* With the lock. They are not in the child of a fork, whose threads get their numbers. */
static void forget_those_of_parent(void)
{
    if (stopped_process != getpid()) {
        stopped_process = getpid();
        stopped_count = 0;
    }
}

void native_note_stopped(unsigned long ident)
{
    pthread_mutex_lock(&stopped_mutex);
    forget_those_of_parent();
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

static void stop_this_thread(void)
{
    const int finalizes = native_finalizing != NULL && PyThreadState_Get() == native_finalizing;
    if (goes_on && !(finalizes && atomic_load_explicit(&stops_finalizing, memory_order_relaxed))) {
        return;
    }
    native_note_stopped(PyThread_get_thread_ident());
    PyEval_SaveThread();
    while (finalizes) {
        pause(); /* the process ends in a moment, on another thread */
    }
    rt_thread_park(); /* never returns */
}

#ifdef RTPY_HOST

/* A host is compiled for its own Python, which its loader does not tell of everywhere: a program may hide its symbols, and
 * a plugin has a Python of its own. */
int native_look_up(const char *name, void *function)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } functions[] = {
#if PY_VERSION_HEX >= 0x030C0000
        {"PyEval_SetProfileAllThreads", (void (*)(void))PyEval_SetProfileAllThreads},
        {"PyEval_SetProfile", (void (*)(void))PyEval_SetProfile},
#else
        {"_PyEval_SetProfile", (void (*)(void))_PyEval_SetProfile},
#endif
        {"PyInterpreterState_Head", (void (*)(void))PyInterpreterState_Head},
        {"PyInterpreterState_Next", (void (*)(void))PyInterpreterState_Next},
        {"PyInterpreterState_ThreadHead", (void (*)(void))PyInterpreterState_ThreadHead},
        {"PyThreadState_Next", (void (*)(void))PyThreadState_Next},
    };
    size_t i;
    for (i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            memcpy(function, &functions[i].function, sizeof functions[i].function);
            return 1;
        }
    }
    return 0;
}

#else

/* (POSIX has such a pointer hold a function.) */
int native_look_up(const char *name, void *function)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

#endif

#ifdef Py_GIL_DISABLED

static PyObject *stop_at_event(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    stop_this_thread();
    Py_RETURN_NONE;
}

static PyMethodDef of_stop_at_event = {"stop_at_event", stop_at_event, METH_VARARGS, NULL};

static const char *const events[] = {"PY_START", "PY_RESUME", "PY_THROW", "PY_RETURN", "PY_YIELD",
                                     "PY_UNWIND", "CALL", "C_RETURN", "C_RAISE"};

/* The number of an event; 0 if that is not known. */
static long event(PyObject *monitoring, const char *name)
{
    PyObject *all = PyObject_GetAttrString(monitoring, "events");
    PyObject *number = all == NULL ? NULL : PyObject_GetAttrString(all, name);
    long event = number == NULL ? 0 : PyLong_AsLong(number);
    Py_XDECREF(number);
    Py_XDECREF(all);
    return event;
}

/* The number of the tool that we are, as others take the first of them the last one that is free; -1 if we are none. It
 * says so itself, for an embedded Python may have begun again. */
static int tool_number(PyObject *monitoring, int *is_new)
{
    int tool;
    for (tool = 5; tool >= 0; tool--) {
        PyObject *name = PyObject_CallMethod(monitoring, "get_tool", "i", tool);
        int is_text = name != NULL && PyUnicode_Check(name);
        int is_ours = is_text && PyUnicode_CompareWithASCIIString(name, "rtfinalize") == 0;
        *is_new = name == Py_None;
        Py_XDECREF(name);
        if (is_ours || *is_new) {
            return tool;
        }
    }
    return -1;
}

/* Has all threads but those that go on stop at their next event. */
static int have_others_stop(void)
{
    PyObject *monitoring = PySys_GetObject("monitoring"), *function, *done;
    long all = 0;
    int tool, is_new, is_set;
    size_t i;
    tool = monitoring == NULL ? -1 : tool_number(monitoring, &is_new);
    if (tool < 0 || !is_new) {
        PyErr_Clear();
        return tool >= 0;
    }
    done = PyObject_CallMethod(monitoring, "use_tool_id", "is", tool, "rtfinalize");
    function = PyCFunction_New(&of_stop_at_event, NULL);
    for (i = 0; done != NULL && function != NULL && i < sizeof events / sizeof *events; i++) {
        long number = event(monitoring, events[i]);
        Py_SETREF(done, PyObject_CallMethod(monitoring, "register_callback", "ilO", tool, number, function));
        all |= number;
    }
    if (done != NULL) {
        Py_SETREF(done, PyObject_CallMethod(monitoring, "set_events", "il", tool, all));
    }
    is_set = done != NULL;
    Py_XDECREF(done);
    Py_XDECREF(function);
    PyErr_Clear();
    return is_set;
}

#else

static int stop(PyObject *self, PyFrameObject *frame, int what, PyObject *arg)
{
    (void)self;
    (void)frame;
    (void)what;
    (void)arg;
    stop_this_thread();
    return 0;
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

static int have_others_stop(void)
{
    return set_profile_function(stop);
}

#endif

int native_stop_other_threads(void)
{
    native_go_on();
    return have_others_stop();
}

static PyObject *stop_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(native_stop_other_threads());
}

static PyObject *stop_all_threads(PyObject *module, PyObject *unused)
{
    atomic_store_explicit(&stops_finalizing, 1, memory_order_relaxed);
    return stop_threads(module, unused);
}

static PyObject *stopped_threads(PyObject *module, PyObject *unused)
{
    size_t count, i;
    PyObject *list;
    (void)module;
    (void)unused;
    pthread_mutex_lock(&stopped_mutex);
    forget_those_of_parent();
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
    {"stop_all_threads", stop_all_threads, METH_NOARGS, "The same, and the finalizing thread: the process is about to end."},
    {"stopped_threads", stopped_threads, METH_NOARGS, "The identifiers of the threads that were stopped."},
    {"whereabouts", whereabouts, METH_VARARGS, "What a thread is doing, by the system's number of it."},
    {NULL, NULL, 0, NULL},
};
