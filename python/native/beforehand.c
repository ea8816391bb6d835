/*
 * What comes before the end of a child of multiprocessing.
 *
 * Until Python 3.12 multiprocessing waits for the child's queues and for its own children before it ends the child's
 * threads, which is where the end begins otherwise. The deadline holds for that, too.
 */
#include "native.h"

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int is_set_up, has_begun, was_interrupted;
    double deadline; /* seconds */
} early = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* How long what was interrupted may take to end. */
#define LEEWAY_SECONDS 0.5

/* Whether the end has begun, within so many seconds. */
static int begins_within(double seconds)
{
    struct timespec until = native_time_in(seconds);
    int error = 0, has_begun;
    pthread_mutex_lock(&early.mutex);
    while (!early.has_begun && error == 0) {
        error = pthread_cond_timedwait(&early.wake, &early.mutex, &until);
    }
    has_begun = early.has_begun;
    early.was_interrupted |= !has_begun;
    pthread_mutex_unlock(&early.mutex);
    return has_begun;
}

static PyObject *rescue(PyObject *unused)
{
    PyObject *package = PyImport_ImportModule("rtfinalize");
    PyObject *result = package == NULL ? NULL : PyObject_CallMethod(package, "_rescue", NULL);
    (void)unused;
    Py_XDECREF(package);
    return result;
}

static void *bound(void *unused)
{
    (void)unused;
    native_go_on();
    if (begins_within(early.deadline)) {
        return NULL;
    }
    native_send_interrupt();
    if (begins_within(LEEWAY_SECONDS)) {
        return NULL;
    }
    native_call_within(rescue, LEEWAY_SECONDS);
    rt_tell("'main': the deadline passed while multiprocessing waited for queues and children; the process ends");
    native_end_process(native_code_of_loss());
}

int native_end_has_begun(void)
{
    int was_interrupted;
    pthread_mutex_lock(&early.mutex);
    early.has_begun = 1;
    was_interrupted = early.was_interrupted;
    if (early.is_set_up) {
        pthread_cond_signal(&early.wake);
    }
    pthread_mutex_unlock(&early.mutex);
    return was_interrupted;
}

static PyObject *bound_beforehand(PyObject *module, PyObject *unused)
{
    int64_t deadline_us = rt_runtime_deadline(NULL);
    pthread_t thread;
    (void)module;
    (void)unused;
    /* In one process it is called once at most. A forked child has none of its parent's threads. */
    if (deadline_us > 0 && !early.has_begun) {
        native_init_condition(&early.wake);
        early.is_set_up = 1;
        native_bound_this_thread();
        native_interrupt_by(SIGINT);
        early.deadline = (double)deadline_us / 1e6;
        if (pthread_create(&thread, NULL, bound, NULL) == 0) {
            pthread_detach(thread);
        }
    }
    Py_RETURN_NONE;
}

PyMethodDef native_beforehand_methods[] = {
    {"bound_beforehand", bound_beforehand, METH_NOARGS, "The deadline holds from now on, and not only for the end."},
    {NULL, NULL, 0, NULL},
};
