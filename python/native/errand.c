/*
 * A call that can be left behind.
 *
 * Flushing a file may wait for its lock, which a thread that is stuck may have. So another thread flushes, and is
 * waited for a while. Python's own threads will not do: from 3.12 on none begins once finalization has.
 */
#include "native.h"

struct errand {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int is_done, is_left;
    PyObject *(*run)(PyObject *call);
    PyObject *call, *raised;
    PyInterpreterState *interpreter; /* NULL: the main one */
};

void native_free_errand(struct errand *errand)
{
    Py_XDECREF(errand->call);
    Py_XDECREF(errand->raised);
    pthread_cond_destroy(&errand->done);
    pthread_mutex_destroy(&errand->mutex);
    free(errand);
}

void native_send_into(struct errand *errand, PyInterpreterState *interpreter)
{
    errand->interpreter = interpreter;
}

static void *run_errand(void *arg)
{
    struct errand *errand = arg;
    PyGILState_STATE state = PyGILState_UNLOCKED;
    PyThreadState *thread = NULL;
    PyObject *result, *type, *value, *traceback;
    int is_left;
    native_go_on();
    if (errand->interpreter == NULL) {
        state = PyGILState_Ensure();
    }
    else {
        thread = PyThreadState_New(errand->interpreter);
        PyEval_RestoreThread(thread);
    }
    result = errand->run(errand->call);
    if (result == NULL) {
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        errand->raised = value;
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    }
    Py_XDECREF(result);
    if (thread != NULL) {
        PyThreadState_Clear(thread);
        PyEval_SaveThread();
        PyThreadState_Delete(thread);
    }
    pthread_mutex_lock(&errand->mutex);
    errand->is_done = 1;
    is_left = errand->is_left;
    pthread_cond_signal(&errand->done);
    pthread_mutex_unlock(&errand->mutex);
    if (is_left) {
        native_free_errand(errand);
    }
    if (thread == NULL) {
        PyGILState_Release(state);
    }
    return NULL;
}

void native_init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct timespec native_later(struct timespec at, double seconds)
{
    at.tv_sec += (time_t)seconds;
    at.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

struct timespec native_time_in(double seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return native_later(now, seconds);
}

struct errand *native_new_errand(PyObject *(*run)(PyObject *), PyObject *call)
{
    struct errand *errand = calloc(1, sizeof *errand);
    if (errand != NULL) {
        pthread_mutex_init(&errand->mutex, NULL);
        native_init_condition(&errand->done);
        errand->run = run;
        errand->call = call;
    }
    return errand;
}

int native_run_within(struct errand *errand, double seconds)
{
    pthread_t thread;
    struct timespec until;
    int error = 0, is_done;
    if (pthread_create(&thread, NULL, run_errand, errand) != 0) {
        return -1;
    }
    pthread_detach(thread);
    until = native_time_in(seconds);
    pthread_mutex_lock(&errand->mutex);
    while (!errand->is_done && error == 0) {
        error = pthread_cond_timedwait(&errand->done, &errand->mutex, &until);
    }
    is_done = errand->is_done;
    errand->is_left = !is_done;
    pthread_mutex_unlock(&errand->mutex);
    return is_done;
}

int native_call_within(PyObject *(*run)(PyObject *), double seconds)
{
    struct errand *errand = native_new_errand(run, NULL);
    int is_done = errand == NULL ? -1 : native_run_within(errand, seconds);
    /* An exception can be let go of with the interpreter's lock only, so one that was raised stays. */
    if (errand != NULL && is_done != 0 && errand->raised == NULL) {
        native_free_errand(errand);
    }
    return is_done > 0;
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
    errand = native_new_errand(PyObject_CallNoArgs, call);
    if (errand == NULL) {
        return PyErr_NoMemory();
    }
    Py_INCREF(call);
    Py_BEGIN_ALLOW_THREADS
    is_done = native_run_within(errand, seconds);
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
    native_free_errand(errand);
    return result;
}

PyMethodDef native_errand_methods[] = {
    {"within", within, METH_VARARGS, "Call on another thread; whether it returned within so many seconds."},
    {NULL, NULL, 0, NULL},
};
