/* The finalization: Python's steps in the library's phases. */
#include "native.h"

PyObject *native_engine;

static PyThreadState *finalizing;
static pthread_t finalizer;

/* With the interpreter's lock. */
static int call_engine(const char *method)
{
    PyObject *result = PyObject_CallMethod(native_engine, method, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable(native_engine);
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
        if (value == NULL || PyObject_SetAttrString(native_engine, "raised", value) < 0) {
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
static PyObject *rescue_files(PyObject *unused)
{
    (void)unused;
    return PyObject_CallMethod(native_engine, "rescue_files", NULL);
}

static void rescue_within(double seconds)
{
    struct errand *errand = native_new_errand(rescue_files, NULL);
    if (errand == NULL) {
        return;
    }
    switch (native_run_within(errand, seconds)) {
    case 0:
        rt_tell("'main': Python's files could not be flushed: the interpreter's lock is kept");
        break;
    case -1:
        native_free_errand(errand);
        break;
    default: /* what it raised goes with the process */
        break;
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
    native_end_process(native_code_of_loss());
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
    struct timespec began = native_time_in(0);
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
    native_engine = Py_NewRef(made);
    threading_shutdown = Py_NewRef(shutdown);
    native_go_on();
    finalizer = pthread_self();
    if (deadline_us > 0) {
        options.on_event = on_event;
        options.overrun = RT_OVERRUN_EXIT;
        options.exit_code = native_code_of_loss();
    }
    rt_describe_work(NULL, native_describe);
    finalizing = PyEval_SaveThread();
    status = rt_finalize(NULL, &options, &report);
    PyEval_RestoreThread(finalizing);
    native_end_narration();
    native_stop_dumps();
    if (report != NULL) {
        rt_report_get_summary(report, &summary);
        rt_report_free(report);
    }
    if (status < 0) {
        native_lose_output();
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
