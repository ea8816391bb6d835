/* What bench_work.py measures on a thread that Python did not make: seconds of `loops` calls of a pair. */
#include <Python.h>

#include <pthread.h>
#include <time.h>

struct task {
    void (*work)(long loops);
    long loops;
    double seconds;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *run(void *argument)
{
    struct task *task = argument;
    double start = now();
    task->work(task->loops);
    task->seconds = now() - start;
    return NULL;
}

static PyObject *on_a_thread(void (*work)(long loops), PyObject *loops)
{
    struct task task = {.work = work, .loops = PyLong_AsLong(loops)};
    pthread_t thread;
    int error;
    if (task.loops == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    error = pthread_create(&thread, NULL, run, &task);
    if (error == 0) {
        pthread_join(thread, NULL);
    }
    Py_END_ALLOW_THREADS
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyFloat_FromDouble(task.seconds);
}

static void ensure_and_release(long loops)
{
    for (long i = 0; i < loops; i++) {
        PyGILState_Release(PyGILState_Ensure());
    }
}

/* As a thread that Python knows calls back into it: there is a thread state, and it is detached. */
static void ensure_known(long loops)
{
    PyGILState_STATE before = PyGILState_Ensure();
    PyThreadState *state = PyEval_SaveThread();
    ensure_and_release(loops);
    PyEval_RestoreThread(state);
    PyGILState_Release(before);
}

static PyObject *ensure_new(PyObject *Py_UNUSED(module), PyObject *loops)
{
    return on_a_thread(ensure_and_release, loops);
}

static PyObject *ensure_again(PyObject *Py_UNUSED(module), PyObject *loops)
{
    return on_a_thread(ensure_known, loops);
}

static PyMethodDef methods[] = {
    {"ensure_new", ensure_new, METH_O, "Pairs on a thread without a state: each makes one and deletes it."},
    {"ensure_again", ensure_again, METH_O, "Pairs on a thread that has a state."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bench_native",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_bench_native(void)
{
    return PyModule_Create(&definition);
}
