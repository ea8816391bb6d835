/*
 * A dump on a signal.
 *
 * A handler in Python runs on the main thread, and not while that is in a C function that does not return; and that is
 * when a dump is wanted. So the signal wakes a thread that waits for nothing else. It is started only if a dump on a
 * signal was asked for, and ended before the process forks: CPython warns of a fork with more than one thread.
 */
#include "native.h"

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
        errand = native_new_errand(dump_once, NULL);
        if (errand != NULL) {
            dumps.under_way++;
            is_done = native_run_within(errand, DUMP_SECONDS);
        }
        if (is_done == 1) {
            native_free_errand(errand);
        }
        else if (is_done < 0) {
            rt_tell("there is no memory or no thread for a dump");
            if (errand != NULL) {
                dumps.under_way--;
                native_free_errand(errand);
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

void native_stop_dumps(void)
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
            native_stop_dumps();
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
    native_stop_dumps();
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

PyMethodDef native_dump_methods[] = {
    {"dump_on", dump_on, METH_VARARGS, "Have a signal write a dump."},
    {"pause_dumps", pause_dumps, METH_NOARGS, "The process forks: end the thread that waits for the signal."},
    {"resume_dumps", resume_dumps, METH_NOARGS, "The process has forked: start that thread again."},
    {NULL, NULL, 0, NULL},
};
