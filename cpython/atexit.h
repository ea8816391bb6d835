/*
 * Part of atexitmodule.c: the callbacks of an interpreter are called by its runtime in the library, which can
 * so say which of them takes long.
 *
 * CPython's own list stays; it is handed over when the time for the callbacks has come.
 */

static const char *
rt_name_of(PyObject *func)
{
    const char *name = NULL;
    if (PyFunction_Check(func)) {
        name = PyUnicode_AsUTF8(((PyFunctionObject *)func)->func_qualname);
    }
    else if (PyMethod_Check(func)) {
        return rt_name_of(PyMethod_GET_FUNCTION(func));
    }
    if (name == NULL) {
        PyErr_Clear();
        name = Py_TYPE(func)->tp_name;
    }
    return name;
}

/* It stays in CPython's list until all have been called. */
static int
rt_call_callback(void *arg)
{
    atexit_py_callback *callback = arg;
    callback->rt_id = 0;
    /* It may unregister itself. */
    PyObject *func = Py_NewRef(callback->func), *args = Py_NewRef(callback->args);
    PyObject *kwargs = Py_XNewRef(callback->kwargs);
    PyObject *result = PyObject_Call(func, args, kwargs);
    if (result == NULL) {
        PyErr_FormatUnraisable("Exception ignored in atexit callback %R", func);
    }
    Py_XDECREF(result);
    Py_XDECREF(kwargs);
    Py_DECREF(args);
    Py_DECREF(func);
    return result == NULL ? -1 : 0;
}

void
_PyRt_HandOverExitCallbacks(PyInterpreterState *interp)
{
    struct atexit_state *state = &interp->atexit;
    if (state->rt_handed_over) {
        return; /* the library goes round again */
    }
    state->rt_handed_over = 1;
    int given = 0;
    for (; given < state->ncallbacks; given++) {
        atexit_py_callback *callback = state->callbacks[given];
        if (callback != NULL && rt_atexit(state->rt, rt_name_of(callback->func), rt_call_callback, callback,
                                          &callback->rt_id) < 0) {
            break;
        }
    }
    /* The library has no memory for the rest, which come first. */
    for (int i = state->ncallbacks - 1; i >= given; i--) {
        if (i < state->ncallbacks && state->callbacks[i] != NULL) {
            rt_call_callback(state->callbacks[i]);
        }
    }
}

static void
rt_unregistered(struct atexit_state *state, atexit_py_callback *callback)
{
    if (callback->rt_id != 0) {
        rt_unregister(state->rt, callback->rt_id);
    }
}

/* PyUnstable_AtExit: a function with the data it shall get. */
struct rt_ll_callback {
    atexit_datacallbackfunc func;
    void *data;
};

static int
rt_call_ll(void *arg)
{
    struct rt_ll_callback callback = *(struct rt_ll_callback *)arg;
    PyMem_RawFree(arg);
    callback.func(callback.data);
    return 0;
}

static int
rt_at_interpreter_exit(PyInterpreterState *interp, atexit_datacallbackfunc func, void *data)
{
    struct atexit_state *state = &interp->atexit;
    struct rt_ll_callback *callback = PyMem_RawMalloc(sizeof(*callback));
    if (callback == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    callback->func = func;
    callback->data = data;
    /* Before the interpreter is cleared, the last one first. */
    if (rt_phase_add_handler(state->rt, RT_PHASE_DEALLOC, --state->rt_order, "PyUnstable_AtExit",
                             rt_call_ll, callback, NULL) < 0) {
        PyMem_RawFree(callback);
        PyErr_Format(PyExc_RuntimeError, "cannot register an exit callback: %s", rt_last_error());
        return -1;
    }
    return 0;
}

/* Every interpreter has a runtime of its own in the library; the main one has the default one. */
static PyStatus
rt_init(PyInterpreterState *interp)
{
    char name[40];
    struct atexit_state *state = &interp->atexit;
    state->rt = NULL;
    state->rt_order = 0;
    state->rt_outlived = 0;
    state->rt_handed_over = 0;
    PyOS_snprintf(name, sizeof(name), "interpreter %lld", (long long)PyInterpreterState_GetID(interp));
    if (!_Py_IsMainInterpreter(interp) && rt_runtime_new(name, &state->rt) < 0) {
        return _PyStatus_NO_MEMORY();
    }
    return _PyRt_OpenView(interp) < 0 ? _PyStatus_NO_MEMORY() : _PyStatus_OK();
}
