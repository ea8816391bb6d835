/* What the engine sees while the program ends, for the report's lanes. */
#include "native.h"

static PyObject *note_thread(PyObject *module, PyObject *args)
{
    rt_seen_thread thread = {.struct_size = sizeof thread};
    unsigned long long number;
    unsigned state;
    (void)module;
    if (!PyArg_ParseTuple(args, "KsIs:note_thread", &number, &thread.name, &state, &thread.what)) {
        return NULL;
    }
    thread.number = number;
    thread.state = state;
    return native_checked(rt_note_thread(native_runtime, &thread));
}

static PyObject *note_wait(PyObject *module, PyObject *args)
{
    const char *what, *outcome;
    double seconds;
    (void)module;
    if (!PyArg_ParseTuple(args, "sdz:note_wait", &what, &seconds, &outcome)) {
        return NULL;
    }
    return native_checked(rt_note_wait(native_runtime, what, seconds > 0 ? (uint64_t)(seconds * 1e6) : 0, outcome));
}

/* It takes microseconds, and the interpreter's lock is kept meanwhile: whoever wants it back from threads that are busy
 * waits for each of them. */
size_t native_read_of_thread(long tid, const char *what, char *text, size_t size)
{
    char path[64];
    ssize_t length = -1;
    int file;
    snprintf(path, sizeof path, "/proc/self/task/%ld/%s", tid, what);
    file = tid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        length = read(file, text, size - 1);
        close(file);
    }
    text[length > 0 ? length : 0] = 0;
    return length > 0 ? (size_t)length : 0;
}

static size_t system_call(long tid, char *said, size_t size)
{
    return native_read_of_thread(tid, "syscall", said, size);
}

static PyObject *system_calls(PyObject *module, PyObject *args)
{
    PyObject *threads, *list;
    Py_ssize_t i;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!:system_calls", &PyList_Type, &threads)) {
        return NULL;
    }
    list = PyList_New(0);
    for (i = 0; list != NULL && i < PyList_Size(threads); i++) {
        char said[256] = "";
        const long tid = PyLong_AsLong(PyList_GetItem(threads, i));
        PyObject *words = PyErr_Occurred() ? NULL
                                           : PyBytes_FromStringAndSize(said, (Py_ssize_t)system_call(tid, said, sizeof said));
        if (words == NULL || PyList_Append(list, words) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(words);
    }
    return list;
}

#ifndef Py_GIL_DISABLED

/* A thread that waits for the interpreter's lock. It is looked at meanwhile, and frees this itself where that is over. */
struct waiter {
    atomic_int tid, users;
};

static void leave(struct waiter *waiter)
{
    if (--waiter->users == 0) {
        free(waiter);
    }
}

static void *wait_for_lock(void *arg)
{
    struct waiter *waiter = arg;
    PyGILState_STATE state;
    native_go_on();
    waiter->tid = (int)syscall(SYS_gettid);
    state = PyGILState_Ensure();
    PyGILState_Release(state);
    leave(waiter);
    return NULL;
}

/* How often the waiting thread is looked at, and the pause between two looks. */
enum { LOOKS = 100, PAUSE_US = 100 };

static size_t look_at_waiter(char *said, size_t size)
{
    struct waiter *waiter = calloc(1, sizeof *waiter);
    pthread_t thread;
    size_t length = 0;
    int looks;
    if (waiter == NULL) {
        return 0;
    }
    waiter->users = 2;
    if (pthread_create(&thread, NULL, wait_for_lock, waiter) != 0) {
        free(waiter);
        return 0;
    }
    pthread_detach(thread);
    for (looks = 0; looks < LOOKS && (length == 0 || said[0] == 'r'); looks++) { /* not yet there, or "running" */
        usleep(PAUSE_US);
        length = waiter->tid == 0 ? 0 : system_call(waiter->tid, said, size);
    }
    leave(waiter);
    return length;
}

#endif

/* The system call of a thread that waits for the interpreter's lock, which the caller has. It distinguishes such threads
 * from those that wait for something else. Empty if there is no such wait. */
static PyObject *lock_wait(PyObject *module, PyObject *unused)
{
    char said[256] = "";
    size_t length = 0;
    (void)module;
    (void)unused;
#ifndef Py_GIL_DISABLED
    length = look_at_waiter(said, sizeof said);
#endif
    return PyBytes_FromStringAndSize(said, (Py_ssize_t)length);
}

PyMethodDef native_look_methods[] = {
    {"note_thread", note_thread, METH_VARARGS, "Say what the thread of this number and name does: a state, and a text."},
    {"note_wait", note_wait, METH_VARARGS, "Say that something took so many seconds, and what came of it."},
    {"system_calls", system_calls, METH_VARARGS, "What the system says of these threads' system calls."},
    {"lock_wait", lock_wait, METH_NOARGS, "The system call of a thread that waits for the interpreter's lock."},
    {NULL, NULL, 0, NULL},
};
