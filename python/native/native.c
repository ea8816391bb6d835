/*
 * rtfinalize._native: what the package's engine cannot say in Python.
 *
 * The phases, the watch, the bounds and the report are the library's; what a phase does with Python's threads,
 * callbacks and files is the engine's (rtfinalize/_engine.py), which these functions call with the interpreter's lock.
 * Here are the steps between the two: to finalize, to stop threads, to look into an object's fields.
 *
 * All of it is the stable ABI of Python 3.9, but for a few functions that are looked up as they are needed: they exist
 * in some releases only, or are not part of the stable ABI.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#define PY_SSIZE_T_CLEAN
#include <pyconfig.h>
/* A Python without the lock has no stable ABI before 3.15. */
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x03090000
#endif
#include <Python.h>

#include "rtfinalize.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x030A0000
static PyObject *Py_NewRef(PyObject *object)
{
    Py_INCREF(object);
    return object;
}
#endif

/* ---- threads that are stopped ---- */

/*
 * A thread is stopped by a profile function: the interpreter calls it where a function, also one written in C, is
 * called or returns, and that is never inside the lock of a buffered file. It lets the interpreter's lock go and sleeps
 * for good. A thread inside a C call meets it as the call returns.
 */

typedef int (*profile_function)(PyObject *, PyFrameObject *, int, PyObject *);

/* Set for good on threads that the finalization needs: the finalizing thread and its helpers. */
static _Thread_local int goes_on;

/* The threads that were stopped, by Python's number of them. The lock is held for a few instructions. */
static pthread_mutex_t stopped_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long *stopped;
static size_t stopped_count, stopped_room;

static void note_stopped(unsigned long ident)
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
    note_stopped(PyThread_get_thread_ident());
    PyEval_SaveThread();
    rt_thread_park();
    return -1; /* never */
}

/* Finds a function of Python's that is not in the stable ABI. (POSIX has such a pointer hold a function.) */
static int look_up(const char *name, void *function)
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
    if (look_up("PyEval_SetProfileAllThreads", &on_all) && look_up("PyEval_SetProfile", &on_this)) {
        on_all(function, NULL);
        on_this(NULL, NULL);
        return 1;
    }
    if (!look_up("_PyEval_SetProfile", &on) || !look_up("PyInterpreterState_ThreadHead", &first)
        || !look_up("PyThreadState_Next", &next)) {
        return 0;
    }
    for (thread = first(PyInterpreterState_Get()); thread != NULL; thread = next(thread)) {
        if (thread != PyThreadState_Get() && on(thread, function, NULL) < 0) {
            PyErr_Clear();
        }
    }
    return 1;
}

static PyObject *stop_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    goes_on = 1;
    return PyBool_FromLong(set_profile_function(stop));
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

/* ---- the fields of an object ---- */

static PyObject *fields(PyObject *module, PyObject *args)
{
    PyObject *object;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:fields", &object, &size)) {
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)object, size);
}

/* Those of a list whose type is one of a tuple's. Nothing is asked of the objects, of which there may be millions: a
 * proxy answers by code of its own when asked for its class. */
static PyObject *of_types(PyObject *module, PyObject *args)
{
    PyObject *things, *types, *found;
    PyObject *kinds[64];
    Py_ssize_t count, at, i, n;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!:of_types", &PyList_Type, &things, &PyTuple_Type, &types)) {
        return NULL;
    }
    n = PyTuple_Size(types);
    if (n > (Py_ssize_t)(sizeof kinds / sizeof *kinds)) {
        PyErr_SetString(PyExc_ValueError, "too many types");
        return NULL;
    }
    for (i = 0; i < n; i++) {
        kinds[i] = PyTuple_GetItem(types, i);
    }
    found = PyList_New(0);
    count = PyList_Size(things);
    for (at = 0; found != NULL && at < count; at++) {
        PyObject *thing = PyList_GetItem(things, at);
        PyObject *type = (PyObject *)Py_TYPE(thing);
        for (i = 0; i < n && kinds[i] != type; i++) {
        }
        if (i < n && PyList_Append(found, thing) < 0) {
            Py_CLEAR(found);
        }
    }
    return found;
}

/* A reference that is never given back. */
static PyObject *keep(PyObject *module, PyObject *object)
{
    (void)module;
    Py_INCREF(object);
    Py_RETURN_NONE;
}

/* ---- a call that can be left behind ---- */

/*
 * Flushing a file may wait for its lock, which a thread that is stuck may have. So another thread flushes, and is
 * waited for a while. Python's own threads will not do: from 3.12 on none begins once finalization has.
 */
struct errand {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int is_done, is_left;
    PyObject *(*run)(PyObject *call);
    PyObject *call, *raised;
};

static void free_errand(struct errand *errand)
{
    Py_XDECREF(errand->call);
    Py_XDECREF(errand->raised);
    pthread_cond_destroy(&errand->done);
    pthread_mutex_destroy(&errand->mutex);
    free(errand);
}

static void *run_errand(void *arg)
{
    struct errand *errand = arg;
    PyGILState_STATE state;
    PyObject *result, *type, *value, *traceback;
    int is_left;
    goes_on = 1;
    state = PyGILState_Ensure();
    result = errand->run(errand->call);
    if (result == NULL) {
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        errand->raised = value;
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    }
    Py_XDECREF(result);
    pthread_mutex_lock(&errand->mutex);
    errand->is_done = 1;
    is_left = errand->is_left;
    pthread_cond_signal(&errand->done);
    pthread_mutex_unlock(&errand->mutex);
    if (is_left) {
        free_errand(errand);
    }
    PyGILState_Release(state);
    return NULL;
}

static struct timespec time_in(double seconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)seconds;
    at.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

/* NULL if there is no memory. `call` may be NULL. */
static struct errand *new_errand(PyObject *(*run)(PyObject *), PyObject *call)
{
    struct errand *errand = calloc(1, sizeof *errand);
    pthread_condattr_t attributes;
    if (errand != NULL) {
        pthread_mutex_init(&errand->mutex, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&errand->done, &attributes);
        pthread_condattr_destroy(&attributes);
        errand->run = run;
        errand->call = call;
    }
    return errand;
}

/* Whether it is done in time; -1 if no thread could be started. One that is not frees itself. Without the interpreter's
 * lock. */
static int run_within(struct errand *errand, double seconds)
{
    pthread_t thread;
    struct timespec until;
    int error = 0, is_done;
    if (pthread_create(&thread, NULL, run_errand, errand) != 0) {
        return -1;
    }
    pthread_detach(thread);
    until = time_in(seconds);
    pthread_mutex_lock(&errand->mutex);
    while (!errand->is_done && error == 0) {
        error = pthread_cond_timedwait(&errand->done, &errand->mutex, &until);
    }
    is_done = errand->is_done;
    errand->is_left = !is_done;
    pthread_mutex_unlock(&errand->mutex);
    return is_done;
}

static PyObject *within(PyObject *module, PyObject *args)
{
    double seconds;
    PyObject *call, *result = NULL;
    struct errand *errand;
    int is_done;
    (void)module;
    if (!PyArg_ParseTuple(args, "dO:within", &seconds, &call)) {
        return NULL;
    }
    errand = new_errand(PyObject_CallNoArgs, call);
    if (errand == NULL) {
        return PyErr_NoMemory();
    }
    Py_INCREF(call);
    Py_BEGIN_ALLOW_THREADS
    is_done = run_within(errand, seconds);
    Py_END_ALLOW_THREADS
    if (is_done == 0) {
        Py_RETURN_FALSE;
    }
    if (is_done < 0) {
        PyErr_SetString(PyExc_RuntimeError, "no thread could be started");
    }
    else if (errand->raised != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(errand->raised), errand->raised);
    }
    else {
        result = Py_NewRef(Py_True);
    }
    free_errand(errand);
    return result;
}

/* ---- a dump on a signal ---- */

/*
 * A handler in Python runs on the main thread, and not while that is in a C function that does not return; and that is
 * when a dump is wanted. So the signal wakes a thread that waits for nothing else. It is started only if a dump on a
 * signal was asked for, and ended before the process forks: CPython warns of a fork with more than one thread.
 */
static struct {
    sem_t asked;
    pthread_t thread;
    pid_t process; /* whose thread it is */
    int is_set_up, runs, number;
    atomic_int is_over, under_way;
} dumps;

/* How long a dump may take before a line says so. */
#define DUMP_SECONDS 1.0

static void ask_for_dump(int number)
{
    int error = errno;
    (void)number;
    sem_post(&dumps.asked);
    errno = error;
}

static PyObject *dump_once(PyObject *unused)
{
    PyObject *package = PyImport_ImportModule("rtfinalize");
    PyObject *result = package == NULL ? NULL : PyObject_CallMethod(package, "_dump_for_signal", NULL);
    (void)unused;
    if (result == NULL) {
        PyErr_WriteUnraisable(package);
    }
    Py_XDECREF(package);
    dumps.under_way--;
    return result == NULL ? Py_NewRef(Py_None) : result;
}

static void *serve_dumps(void *unused)
{
    (void)unused;
    for (;;) {
        struct errand *errand;
        int is_done = -1;
        while (sem_wait(&dumps.asked) != 0) {
        }
        if (dumps.is_over) {
            return NULL;
        }
        errand = new_errand(dump_once, NULL);
        if (errand != NULL) {
            dumps.under_way++;
            is_done = run_within(errand, DUMP_SECONDS);
        }
        if (is_done == 1) {
            free_errand(errand);
        }
        else if (is_done < 0) {
            rt_tell("there is no memory or no thread for a dump");
            if (errand != NULL) {
                dumps.under_way--;
                free_errand(errand);
            }
        }
        else {
            rt_tell("the dump has to wait; native code may keep the interpreter's lock");
        }
    }
}

static int start_dumps(void)
{
    sigset_t all, before;
    int error;
    if (dumps.runs && dumps.process == getpid()) {
        return 0;
    }
    dumps.is_over = 0;
    /* The program's signals are for the program's threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&dumps.thread, NULL, serve_dumps, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dumps.runs = error == 0;
    dumps.process = getpid();
    return error;
}

/* With the interpreter's lock, of which it lets go. Afterwards no dump comes to Python, unless one waits for native code
 * that keeps the lock. */
static void stop_dumps(void)
{
    int pauses;
    if (!dumps.runs || dumps.process != getpid()) {
        return;
    }
    dumps.runs = 0;
    dumps.is_over = 1;
    Py_BEGIN_ALLOW_THREADS
    sem_post(&dumps.asked);
    pthread_join(dumps.thread, NULL);
    for (pauses = 0; dumps.under_way > 0 && pauses < 1000; pauses++) {
        usleep(1000);
    }
    Py_END_ALLOW_THREADS
}

static PyObject *dump_on(PyObject *module, PyObject *args)
{
    struct sigaction action = {.sa_flags = SA_RESTART | SA_ONSTACK};
    int number, error;
    (void)module;
    if (!PyArg_ParseTuple(args, "i:dump_on", &number)) {
        return NULL;
    }
    if (!dumps.is_set_up) {
        sem_init(&dumps.asked, 0, 0);
        dumps.is_set_up = 1;
    }
    action.sa_handler = ask_for_dump;
    sigemptyset(&action.sa_mask);
    error = start_dumps();
    if (error == 0 && sigaction(number, &action, NULL) != 0) {
        error = errno;
    }
    if (error != 0) {
        if (dumps.number == 0) {
            stop_dumps();
        }
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (dumps.number != 0 && dumps.number != number) {
        signal(dumps.number, SIG_DFL);
    }
    dumps.number = number;
    Py_RETURN_NONE;
}

static PyObject *pause_dumps(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    stop_dumps();
    Py_RETURN_NONE;
}

static PyObject *resume_dumps(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (dumps.number != 0) {
        start_dumps();
    }
    Py_RETURN_NONE;
}

/* ---- what a callback is doing ---- */

/*
 * The watch asks for a text on a thread that has neither the interpreter's lock nor a heap, and only Python can say
 * which function of which file runs. So the engine says it beforehand, from time to time, on a thread that begins where
 * something may take long. An odd version is a text that is being written.
 */
static char said[1024];
static atomic_uint said_version;
static atomic_int wants_lock; /* the narrator waits for the interpreter's lock, perhaps in vain */

static void say(const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);
    if (length >= sizeof said) {
        length = sizeof said - 1;
    }
    atomic_fetch_add(&said_version, 1);
    memcpy(said, text, length);
    said[length] = 0;
    atomic_fetch_add(&said_version, 1);
}

static size_t describe(char *text, size_t size)
{
    static const char keeps[] = "in native code that keeps the interpreter's lock";
    unsigned before = atomic_load(&said_version);
    size_t length = strnlen(said, sizeof said);
    if (length > size) {
        length = size;
    }
    memcpy(text, said, length);
    if (before % 2 != 0 || atomic_load(&said_version) != before) {
        length = 0;
    }
    if (length == 0 && wants_lock && sizeof keeps - 1 <= size) {
        length = sizeof keeps - 1;
        memcpy(text, keeps, length);
    }
    return length;
}

static PyObject *engine;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int is_set_up, is_over, runs;
    double first, then; /* seconds */
} narrator = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void narrate_once(void)
{
    PyGILState_STATE state;
    PyObject *text;
    wants_lock = 1;
    state = PyGILState_Ensure();
    wants_lock = 0;
    text = PyObject_CallMethod(engine, "describe", NULL);
    if (text != NULL && PyUnicode_Check(text)) {
        PyObject *utf8 = PyUnicode_AsEncodedString(text, "utf-8", "replace");
        if (utf8 != NULL) {
            say(PyBytes_AsString(utf8));
        }
        Py_XDECREF(utf8);
    }
    Py_XDECREF(text);
    PyErr_Clear();
    PyGILState_Release(state);
}

static void *narrate(void *unused)
{
    double pause = narrator.first;
    (void)unused;
    goes_on = 1;
    for (;;) {
        struct timespec until = time_in(pause);
        int error = 0, is_over;
        pthread_mutex_lock(&narrator.mutex);
        while (!narrator.is_over && error == 0) {
            error = pthread_cond_timedwait(&narrator.wake, &narrator.mutex, &until);
        }
        is_over = narrator.is_over;
        pthread_mutex_unlock(&narrator.mutex);
        if (is_over) {
            return NULL;
        }
        narrate_once();
        pause = narrator.then;
    }
}

static PyObject *narrate_after(PyObject *module, PyObject *args)
{
    pthread_t thread;
    (void)module;
    if (!PyArg_ParseTuple(args, "dd:narrate_after", &narrator.first, &narrator.then)) {
        return NULL;
    }
    if (!narrator.is_set_up) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&narrator.wake, &attributes);
        pthread_condattr_destroy(&attributes);
        narrator.is_set_up = 1;
    }
    if (!narrator.runs && pthread_create(&thread, NULL, narrate, NULL) == 0) {
        pthread_detach(thread);
        narrator.runs = 1;
    }
    Py_RETURN_NONE;
}

static void end_narration(void)
{
    pthread_mutex_lock(&narrator.mutex);
    narrator.is_over = 1;
    if (narrator.is_set_up) {
        pthread_cond_signal(&narrator.wake);
    }
    pthread_mutex_unlock(&narrator.mutex);
}

/* ---- the exit code ---- */

/* Where output was lost a program that ended by 0 ends by 120, as CPython's own do; and the code of its own stays. */
static atomic_int code_instead_of_0;

/* The program's own, where that is known; else 0. */
static atomic_int known_code;

static void correct_code(int code, void *unused)
{
    (void)unused;
    if (code == 0 && code_instead_of_0 != 0) {
        fflush(NULL);
        _exit(code_instead_of_0);
    }
}

/* ---- the finalization ---- */

static PyThreadState *finalizing;
static pthread_t finalizer;

/* With the interpreter's lock. */
static int call_engine(const char *method)
{
    PyObject *result = PyObject_CallMethod(engine, method, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable(engine);
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* What Python itself calls at its end is called from here and not from the engine: no frame of ours shall be in the
 * trace of what it raises, nor be taken for the one that a warning is about. */

static PyObject *threading_shutdown; /* until it has been called */

static int join_threads(const char *method)
{
    PyObject *function = threading_shutdown, *result;
    if (function == NULL) {
        return 0; /* the passes go round again */
    }
    threading_shutdown = NULL;
    if (call_engine(method) < 0) {
        return -1;
    }
    result = PyObject_CallNoArgs(function);
    if (result == NULL) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyErr_NormalizeException(&type, &value, &trace);
        if (value != NULL && trace != NULL) {
            PyException_SetTraceback(value, trace);
        }
        /* CPython says it, and goes on: so it is handed back to CPython in the end. */
        if (value == NULL || PyObject_SetAttrString(engine, "raised", value) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
    }
    Py_XDECREF(result);
    Py_DECREF(function);
    return 0;
}

static int run_exit_callbacks(const char *method)
{
    PyObject *module, *result;
    if (call_engine(method) < 0) {
        return -1;
    }
    module = PyImport_ImportModule("atexit");
    result = module == NULL ? NULL : PyObject_CallMethod(module, "_run_exitfuncs", NULL);
    if (result == NULL) {
        /* 3.9 has said each error, and raises the last one; its finalization ignores that. */
        PyErr_Clear();
    }
    Py_XDECREF(result);
    Py_XDECREF(module);
    return 0;
}

static const struct step {
    uint32_t phase;
    int32_t order;
    const char *name;
    int (*run)(const char *method);
    const char *method; /* of the engine */
} steps[] = {
    {RT_PHASE_THREADS, -1, "threading._shutdown", join_threads, "threads_are_joined"},
    {RT_PHASE_ATEXIT, -1, "exit callbacks", run_exit_callbacks, "callbacks_are_run"},
    {RT_PHASE_FREEZE, -1, "stop threads", call_engine, "stop_threads"},
    {RT_PHASE_FLUSH_FROZEN, -1, "flush files", call_engine, "flush_files"},
    {RT_PHASE_FLUSH_LATE, 0, "account for files", call_engine, "account_for_files"},
};

static int run_step(void *arg)
{
    const struct step *of = arg;
    int status;
    PyEval_RestoreThread(finalizing);
    status = of->run(of->method);
    PyEval_SaveThread();
    return status;
}

/* Python code that takes longer than it may is interrupted, as by Ctrl-C; what does not heed that is the end of the
 * process. Called on a thread of the library's, while the finalizing thread is inside the callback. */
static void interrupt(void)
{
    struct sigaction action;
    if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
        pthread_kill(finalizer, SIGINT);
    }
}

/* Something had to be cut short for want of time. */
static atomic_int ran_out;

/* The process ends in a moment, and the finalizing thread is stuck. Files take the interpreter's lock to be flushed,
 * which that thread may keep: another one tries, and is waited for a moment. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int is_done;
} rescue = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *rescue_files(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *result;
    (void)unused;
    goes_on = 1;
    result = PyObject_CallMethod(engine, "rescue_files", NULL);
    Py_XDECREF(result);
    PyErr_Clear();
    pthread_mutex_lock(&rescue.mutex);
    rescue.is_done = 1;
    pthread_cond_signal(&rescue.done);
    pthread_mutex_unlock(&rescue.mutex);
    PyGILState_Release(state);
    return NULL;
}

static void rescue_within(double seconds)
{
    pthread_condattr_t attributes;
    struct timespec until = time_in(seconds);
    pthread_t thread;
    int error = 0, is_done;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&rescue.done, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&thread, NULL, rescue_files, NULL) != 0) {
        return;
    }
    pthread_detach(thread);
    pthread_mutex_lock(&rescue.mutex);
    while (!rescue.is_done && error == 0) {
        error = pthread_cond_timedwait(&rescue.done, &rescue.mutex, &until);
    }
    is_done = rescue.is_done;
    pthread_mutex_unlock(&rescue.mutex);
    if (!is_done) {
        rt_tell("'main': Python's files could not be flushed: the interpreter's lock is kept");
    }
}

static int32_t on_event(const rt_event *event, void *arg)
{
    static uint64_t interrupted;
    (void)arg;
    if (event->kind != RT_EVENT_OVERRUN) {
        return 0;
    }
    if (event->subject != RT_SUBJECT_CALLBACK && event->subject != RT_SUBJECT_RUNTIME) {
        return RT_OVERRUN_SKIP; /* the library's own wait just ends */
    }
    ran_out = 1;
    if (event->phase < RT_PHASE_FREEZE && interrupted != event->since_us + 1) {
        interrupted = event->since_us + 1;
        interrupt();
        return RT_OVERRUN_SKIP;
    }
    rescue_within(0.5);
    return RT_OVERRUN_EXIT;
}

/* What is left of Python's end, which nobody watches, is bounded by the deadline too: a destructor may take as long as it
 * likes as modules are cleared. */
static void *end_at_deadline(void *arg)
{
    struct timespec *until = arg;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, until, NULL) == EINTR) {
    }
    rt_tell("'main': the deadline passed while modules were cleared; the process ends");
    fflush(NULL);
    _exit(known_code != 0 ? known_code : 120);
}

static void bound_the_rest(int64_t deadline_us, struct timespec began)
{
    static struct timespec until;
    pthread_t thread;
    if (deadline_us <= 0) {
        return;
    }
    until = began;
    until.tv_sec += (time_t)(deadline_us / 1000000);
    until.tv_nsec += (long)(deadline_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    if (pthread_create(&thread, NULL, end_at_deadline, &until) == 0) {
        pthread_detach(thread);
    }
}

/* Runs the phases with the steps of `made`; calls `package._ends` with what came of it, which may end the process. */
static int finalize(PyObject *package, PyObject *made, PyObject *shutdown)
{
    rt_finalize_options options = {.struct_size = sizeof options};
    rt_report_summary summary = {.struct_size = sizeof summary};
    rt_report *report = NULL;
    rt_status status = RT_OK;
    PyObject *result;
    int64_t deadline_us = rt_runtime_deadline(NULL);
    struct timespec began = time_in(0);
    size_t i;
    for (i = 0; status >= 0 && i < sizeof steps / sizeof *steps; i++) {
        rt_handler_options handler = {.struct_size = sizeof handler, .order = steps[i].order, .work = RT_WORK_BRIEF};
        status = rt_phase_add_handler_ex(NULL, steps[i].phase, steps[i].name, &handler, run_step,
                                         (void *)(uintptr_t)&steps[i], NULL);
    }
    if (status < 0) {
        rt_tell(rt_last_error());
        return -1;
    }
    engine = Py_NewRef(made);
    threading_shutdown = Py_NewRef(shutdown);
    goes_on = 1;
    finalizer = pthread_self();
    if (deadline_us > 0) {
        options.on_event = on_event;
        options.overrun = RT_OVERRUN_EXIT;
        options.exit_code = known_code != 0 ? known_code : 120;
    }
    rt_describe_work(describe);
    finalizing = PyEval_SaveThread();
    status = rt_finalize(NULL, &options, &report);
    PyEval_RestoreThread(finalizing);
    end_narration();
    stop_dumps();
    if (report != NULL) {
        rt_report_get_summary(report, &summary);
        rt_report_free(report);
    }
    if (status < 0) {
        code_instead_of_0 = 120;
    }
    result = PyObject_CallMethod(package, "_ends", "Oi", made, (int)ran_out);
    if (result == NULL) {
        PyErr_WriteUnraisable(made);
    }
    Py_XDECREF(result);
    bound_the_rest(deadline_us, began);
    return 0;
}

/* What `threading._shutdown` raised in the meantime, as it was raised. */
static PyObject *raise_again(void)
{
    PyObject *raised = PyObject_GetAttrString(engine, "raised");
    if (raised == NULL || raised == Py_None) {
        return raised;
    }
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(raised)), raised, PyException_GetTraceback(raised));
    return NULL;
}

/*
 * In the place of `threading._shutdown`, which is the first that CPython calls at its end. If the package has nothing
 * to do, or cannot do it (an audit hook forbids imports, say), all is as without it.
 */
static PyObject *at_exit(PyObject *module, PyObject *unused)
{
    PyObject *package = PyImport_ImportModule("rtfinalize");
    PyObject *made = package == NULL ? NULL : PyObject_CallMethod(package, "_begin", NULL);
    PyObject *shutdown, *result;
    (void)module;
    (void)unused;
    if (made == NULL) {
        PyErr_Clear();
    }
    shutdown = package == NULL ? NULL : PyObject_GetAttrString(package, "_shutdown");
    if (shutdown == NULL || shutdown == Py_None) {
        result = NULL;
    }
    else if (made == NULL || made == Py_None || finalize(package, made, shutdown) < 0) {
        result = PyObject_CallNoArgs(shutdown);
    }
    else {
        result = raise_again();
    }
    stop_dumps();
    Py_XDECREF(shutdown);
    Py_XDECREF(made);
    Py_XDECREF(package);
    if (result == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return result;
}

/* ---- guards ---- */

static PyObject *checked(rt_status status);


static PyObject *guard_acquire(PyObject *module, PyObject *args)
{
    static rt_view *view;
    const char *name;
    rt_guard *guard;
    rt_status status = RT_OK;
    (void)module;
    if (!PyArg_ParseTuple(args, "s:guard_acquire", &name)) {
        return NULL;
    }
    if (view == NULL) {
        status = rt_view_from(NULL, &view);
    }
    if (status >= 0) {
        /* Any thread may close it. */
        status = rt_guard_acquire_shared(view, name, &guard);
    }
    if (status < 0) {
        PyErr_SetString(PyExc_RuntimeError, rt_last_error());
        return NULL;
    }
    return PyLong_FromVoidPtr(guard);
}

static PyObject *guard_release(PyObject *module, PyObject *guard)
{
    rt_guard *of = PyLong_AsVoidPtr(guard);
    (void)module;
    if (of == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return checked(rt_guard_release(of));
}

/* Something takes long now, and is watched. */
static PyObject *may_wait(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    rt_may_wait(NULL);
    Py_RETURN_NONE;
}

/* ---- settings and notes ---- */

static PyObject *checked(rt_status status)
{
    if (status < 0) {
        PyErr_SetString(PyExc_ValueError, rt_last_error());
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *set(PyObject *module, PyObject *args)
{
    const char *name, *text;
    (void)module;
    return PyArg_ParseTuple(args, "ss:set", &name, &text) ? checked(rt_runtime_set_text(NULL, name, text)) : NULL;
}

/* A time in the library's words, in seconds. */
static PyObject *seconds(PyObject *module, PyObject *args)
{
    const char *text;
    char *end;
    double number;
    (void)module;
    if (!PyArg_ParseTuple(args, "s:seconds", &text)) {
        return NULL;
    }
    /* It has been accepted by rt_runtime_set_text. */
    number = strtod(text, &end);
    end += strspn(end, " ");
    if (strncmp(end, "ms", 2) == 0) {
        number /= 1e3;
    }
    else if (*end != 0 && *end != 's') {
        number /= 1e6;
    }
    return PyFloat_FromDouble(number);
}

static PyObject *times(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_BuildValue("LLL", (long long)rt_runtime_deadline(NULL), (long long)rt_runtime_notice(NULL),
                         (long long)rt_time_left(NULL));
}

static PyObject *note_file(PyObject *module, PyObject *args)
{
    rt_report_destination file = {.struct_size = sizeof file};
    unsigned long long written, unwritten, in_flight;
    (void)module;
    if (!PyArg_ParseTuple(args, "sKKKz:note_file", &file.name, &written, &unwritten, &in_flight, &file.reason)) {
        return NULL;
    }
    file.accepted = written + unwritten + in_flight;
    file.written = written;
    file.unwritten = unwritten;
    file.in_flight = in_flight;
    return checked(rt_note_destination(NULL, &file));
}

static PyObject *note_leak(PyObject *module, PyObject *args)
{
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_HOST};
    (void)module;
    if (!PyArg_ParseTuple(args, "ss:note_leak", &leak.name, &leak.reason)) {
        return NULL;
    }
    return checked(rt_note_leak(NULL, &leak));
}

static PyObject *tell(PyObject *module, PyObject *args)
{
    const char *line;
    (void)module;
    return PyArg_ParseTuple(args, "s:tell", &line) ? checked(rt_tell(line)) : NULL;
}

static PyObject *set_code(PyObject *module, PyObject *args)
{
    int code;
    (void)module;
    if (!PyArg_ParseTuple(args, "i:set_code", &code)) {
        return NULL;
    }
    known_code = code;
    Py_RETURN_NONE;
}

/* What was lost counts, unless the program ends by a code of its own. */
static PyObject *output_was_lost(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    code_instead_of_0 = 120;
    Py_RETURN_NONE;
}

/* Ends the process without Python's finalization and libc's exit handlers. C files are flushed. */
static PyObject *end_process(PyObject *module, PyObject *args)
{
    int code;
    (void)module;
    if (!PyArg_ParseTuple(args, "i:end_process", &code)) {
        return NULL;
    }
    if (code == 0) {
        code = code_instead_of_0;
    }
    fflush(NULL);
    _exit(code);
}

static PyMethodDef methods[] = {
    {"at_exit", at_exit, METH_NOARGS, "In the place of threading._shutdown."},
    {"stop_threads", stop_threads, METH_NOARGS, "Stop every other thread at its next call or return."},
    {"stopped_threads", stopped_threads, METH_NOARGS, "The identifiers of the threads that were stopped."},
    {"within", within, METH_VARARGS, "Call on another thread; whether it returned within so many seconds."},
    {"dump_on", dump_on, METH_VARARGS, "Have a signal write a dump."},
    {"pause_dumps", pause_dumps, METH_NOARGS, "The process forks: end the thread that waits for the signal."},
    {"resume_dumps", resume_dumps, METH_NOARGS, "The process has forked: start that thread again."},
    {"guard_acquire", guard_acquire, METH_VARARGS, "Open a guard."},
    {"guard_release", guard_release, METH_O, "Close a guard."},
    {"fields", fields, METH_VARARGS, "So many bytes of an object itself."},
    {"of_types", of_types, METH_VARARGS, "Those of a list whose type is one of a tuple's."},
    {"keep", keep, METH_O, "Refer to an object for good."},
    {"narrate_after", narrate_after, METH_VARARGS, "Ask the engine what it does after, and then every, so many seconds."},
    {"may_wait", may_wait, METH_NOARGS, "What follows may take long, and is watched."},
    {"set", set, METH_VARARGS, "Set what the environment's variable of that name sets."},
    {"seconds", seconds, METH_VARARGS, "A time like 500ms, in seconds."},
    {"times", times, METH_NOARGS, "Deadline, notice and time left, in microseconds; negative is none."},
    {"note_file", note_file, METH_VARARGS, "Enter a file, with bytes written, unwritten, in flight, in the report."},
    {"note_leak", note_leak, METH_VARARGS, "Enter something that is kept on purpose in the report."},
    {"tell", tell, METH_VARARGS, "Write a line to stderr, if that is what the process was started with."},
    {"set_code", set_code, METH_VARARGS, "The program ends by this exit code."},
    {"output_was_lost", output_was_lost, METH_NOARGS, "The exit code is 120 if it would be 0."},
    {"end_process", end_process, METH_VARARGS, "End the process at once, with this exit code."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "rtfinalize._native", "The library, for the engine.", -1, methods, NULL, NULL, NULL, NULL,
};

PyObject *rtfinalize_native_module(void);

PyObject *rtfinalize_native_module(void)
{
    PyObject *module;
    if (rt_version() != RT_VERSION_NUMBER) {
        PyErr_SetString(PyExc_ImportError, "rtfinalize: the library is not of the version of its header");
        return NULL;
    }
    /* The handlers of libc run in reverse order, and Python's finalization before them: of all that happens at the end
     * this comes nearly last. */
    on_exit(correct_code, NULL);
    module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    /* Otherwise the import would bring the lock back. */
    if (module != NULL && PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED) < 0) {
        Py_CLEAR(module);
    }
#endif
    return module;
}
