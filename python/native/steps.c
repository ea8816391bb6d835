/* Python's steps in the library's phases. */
#include "native.h"

rt_runtime *native_runtime;
PyObject *native_engine;
PyThreadState *native_finalizing;

/* With the interpreter's lock. */
static int call_engine(const char *method)
{
    PyObject *result;
    int held;
    if (native_engine == NULL) {
        return -1; /* it could not be made, and that was said */
    }
    held = native_hold_signals();
    result = PyObject_CallMethod(native_engine, method, NULL);
    if (held) {
        native_release_signals(1);
    }
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

void native_use(PyObject *engine, PyObject *shutdown)
{
    native_engine = Py_NewRef(engine);
    threading_shutdown = Py_NewRef(shutdown);
}

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
    return call_engine("threads_were_joined");
}

/* From now on no signal comes to the program any more. */
static int stop_others(const char *method)
{
    native_hold_signals();
    return call_engine(method);
}

static int run_exit_callbacks(const char *method)
{
    PyObject *module, *result, *runs;
    int is_left_out;
    if (call_engine(method) < 0) {
        return -1;
    }
    runs = PyObject_GetAttrString(native_engine, "runs_callbacks");
    is_left_out = runs == Py_False;
    Py_XDECREF(runs);
    if (is_left_out) {
        return 0;
    }
    module = native_import("atexit");
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
    {RT_PHASE_FREEZE, -1, "stop threads", stop_others, "stop_threads"},
    {RT_PHASE_FLUSH_FROZEN, -1, "flush files", call_engine, "flush_files"},
    {RT_PHASE_FLUSH_FROZEN, 0, "account for files", call_engine, "account_for_files"},
};

static int run_step(void *arg)
{
    const struct step *of = arg;
    const uint64_t interrupted = native_bounds.interrupted;
    int status;
    PyEval_RestoreThread(native_finalizing);
    status = of->run(of->method);
    PyEval_SaveThread();
    /* What was interrupted has not done what it was to do, so the finalization is not complete. */
    return native_bounds.interrupted != interrupted ? -1 : status;
}

rt_status native_add_steps(void)
{
    rt_status status = RT_OK;
    size_t i;
    for (i = 0; status >= 0 && i < sizeof steps / sizeof *steps; i++) {
        rt_handler_options handler = {.struct_size = sizeof handler, .order = steps[i].order, .work = RT_WORK_BRIEF};
        status = rt_phase_add_handler_ex(native_runtime, steps[i].phase, steps[i].name, &handler, run_step,
                                         (void *)(uintptr_t)&steps[i], NULL);
    }
    return status;
}
