/* The finalization of a program: the phases in the place of `threading._shutdown`, and CPython's own end after them. */
#include "native.h"

/* What is left of Python's end, which nobody watches, is bounded by the deadline too: a destructor may take as long as it
 * likes as modules are cleared. */
static void *end_at_deadline(void *arg)
{
    struct timespec *until = arg;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, until, NULL) == EINTR) {
    }
    rt_tell("'main': the deadline passed while modules were cleared; the process ends");
    native_end_process(native_code_of_loss());
}

static void bound_the_rest(int64_t deadline_us, struct timespec began)
{
    static struct timespec until;
    pthread_t thread;
    if (deadline_us <= 0) {
        return;
    }
    until = native_later(began, (double)deadline_us / 1e6);
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
    rt_status status = native_add_steps();
    PyObject *result;
    int64_t deadline_us = rt_runtime_deadline(NULL);
    struct timespec began = native_time_in(0);
    if (status < 0) {
        rt_tell(rt_last_error());
        return -1;
    }
    native_use(made, shutdown);
    native_go_on();
    native_bound_this_thread();
    native_interrupt_by(SIGINT);
    native_bounds.ends_process = 1;
    if (deadline_us > 0) {
        options.on_event = native_on_event;
        options.overrun = RT_OVERRUN_EXIT;
        options.exit_code = native_code_of_loss();
    }
    rt_describe_work(NULL, native_describe);
    native_finalizing = PyEval_SaveThread();
    status = rt_finalize(NULL, &options, &report);
    PyEval_RestoreThread(native_finalizing);
    native_end_narration();
    native_stop_dumps();
    if (report != NULL) {
        rt_report_get_summary(report, &summary);
        rt_report_free(report);
    }
    if (status < 0) {
        native_lose_output();
    }
    result = PyObject_CallMethod(package, "_ends", "OO", made, native_bounds.ran_out ? Py_True : Py_False);
    if (result == NULL) {
        PyErr_WriteUnraisable(made);
    }
    Py_XDECREF(result);
    native_release_signals(0);
    bound_the_rest(deadline_us, began);
    return 0;
}

/* What `threading._shutdown` raised in the meantime, as it was raised. */
static PyObject *raise_again(void)
{
    PyObject *raised = PyObject_GetAttrString(native_engine, "raised");
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
    int held = native_hold_signals();
    PyObject *package = PyImport_ImportModule("rtfinalize");
    int was_interrupted = native_end_has_begun();
    PyObject *made = package == NULL ? NULL : PyObject_CallMethod(package, "_begin", "i", was_interrupted);
    PyObject *shutdown, *result;
    (void)module;
    (void)unused;
    if (made == NULL) {
        PyErr_Clear();
    }
    if (held) {
        native_release_signals(1);
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
    native_stop_dumps();
    Py_XDECREF(shutdown);
    Py_XDECREF(made);
    Py_XDECREF(package);
    if (result == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return result;
}

PyMethodDef native_finalize_methods[] = {
    {"at_exit", at_exit, METH_NOARGS, "In the place of threading._shutdown."},
    {NULL, NULL, 0, NULL},
};
