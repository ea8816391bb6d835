/*
 * Part of pystate.c: PEP 788's guards, views and thread states, on the library's guards and views.
 *
 * A view is the library's view of one life of an interpreter's runtime. It is told from all others by its
 * handle, which is never used again: so an interpreter is compared by it, and not by its address, which
 * another one may have by now.
 *
 * Whoever is under a guard may attach: the library does not go on to the freeze while it is open. Only a
 * guard that was given up, when the deadline was over, no longer protects; then there is no thread state to
 * be had, or the thread is parked as any other that comes too late.
 */

struct PyInterpreterView {
    rt_view *rt;
    PyInterpreterState *interp; /* there as long as the view's life is pinned */
};

struct PyInterpreterGuard {
    struct rt_pins pins;
    struct PyInterpreterView of;
};

/* What a token says that is no thread state: nothing was attached before, or what was attached stays. */
static const char rt_nothing_before, rt_attached_before;
#define RT_NOTHING_BEFORE ((PyThreadStateToken *)&rt_nothing_before)
#define RT_ATTACHED_BEFORE ((PyThreadStateToken *)&rt_attached_before)

/* Of the main interpreter, NULL when there is none. */
static rt_view *rt_main_view;

/* ---- interpreters ---- */

int
_PyRt_OpenView(PyInterpreterState *interp)
{
    rt_view **view = &interp->atexit.rt_view;
    *view = NULL;
    if (rt_view_from(interp->atexit.rt, view) < 0) {
        return -1;
    }
    if (_Py_IsMainInterpreter(interp)) {
        rt_view_close(_Py_atomic_exchange_ptr(&rt_main_view, *view));
    }
    return 0;
}

void
_PyRt_CloseMainView(void)
{
    rt_view_close(_Py_atomic_exchange_ptr(&rt_main_view, NULL));
}

/* ---- pins ---- */

static void
rt_unpin(struct rt_pins pins)
{
    if (pins.main != NULL) {
        rt_guard_release(pins.main);
    }
    if (pins.own != NULL) {
        rt_guard_release(pins.own);
    }
}

typedef rt_status (*rt_acquire)(rt_view *view, const char *name, rt_guard **guard);

/* The main interpreter ends all others as it ends: whoever pins one of them pins the main one, too. */
static rt_status
rt_pin_both(struct rt_pins *pins, rt_view *view, const char *name, rt_acquire acquire)
{
    *pins = (struct rt_pins){NULL, NULL};
    rt_status status = acquire(view, name, &pins->own);
    rt_view *main = _Py_atomic_load_ptr(&rt_main_view);
    if (status == RT_OK && view != main) {
        /* NULL: the main interpreter is gone, and with it all others. */
        status = main == NULL ? RT_ERR_FINALIZING : acquire(main, name, &pins->main);
        if (status != RT_OK) {
            rt_unpin(*pins);
        }
    }
    return status;
}

/* A new guard waits while the library looks whether the others are closed: their holders may need the
 * interpreter's lock for that. */
static rt_status
rt_pin(struct rt_pins *pins, rt_view *view, const char *name, rt_acquire acquire)
{
    PyThreadState *attached = current_fast_get();
    int lets_others = attached != NULL && !_PyRt_IsFrozen()
                      && (attached->interp->finalizing || _PyInterpreterState_Main()->finalizing);
    if (lets_others) {
        _PyThreadState_Detach(attached);
    }
    rt_status status = rt_pin_both(pins, view, name, acquire);
    if (lets_others) {
        _PyThreadState_Attach(attached);
    }
    return status;
}

/* ---- guards ---- */

#ifdef __linux__
/* What the system calls this thread, asked once. */
static const char *
rt_system_name(void)
{
    static _Py_thread_local char name[16];
    if (name[0] == '\0' && pthread_getname_np(pthread_self(), name, sizeof(name)) != 0) {
        return NULL;
    }
    return name;
}
#else
#define rt_system_name() NULL
#endif

/* Any thread may close it, so it is waited for whoever opened it. */
static rt_status
rt_open_as(PyInterpreterGuard *guard, const char *name)
{
    rt_status status = rt_pin(&guard->pins, guard->of.rt, name, rt_guard_acquire_shared);
    if (status == RT_ERR_UTF8) {
        status = rt_pin(&guard->pins, guard->of.rt, NULL, rt_guard_acquire_shared);
    }
    return status;
}

/* Named after the thread, and after the function it is in if Python can be asked. */
static PyInterpreterGuard *
rt_open_guard(const struct PyInterpreterView *of, rt_status *status)
{
    PyInterpreterGuard *guard = PyMem_RawMalloc(sizeof(*guard));
    if (guard == NULL) {
        *status = RT_ERR_NO_MEMORY;
        return NULL;
    }
    guard->of = *of;
    if (current_fast_get() == NULL) {
        *status = rt_open_as(guard, rt_system_name());
    }
    else {
        PyObject *raised = PyErr_GetRaisedException();
        PyObject *who = _PyRt_NameCaller();
        const char *name = who == NULL ? rt_system_name() : PyUnicode_AsUTF8(who);
        PyErr_Clear();
        *status = rt_open_as(guard, name);
        Py_XDECREF(who);
        PyErr_SetRaisedException(raised);
    }
    if (*status != RT_OK) {
        PyMem_RawFree(guard);
        return NULL;
    }
    return guard;
}

PyInterpreterGuard *
PyInterpreterGuard_FromCurrent(void)
{
    PyInterpreterState *interp = PyInterpreterState_Get();
    struct PyInterpreterView current = {interp->atexit.rt_view, interp};
    rt_status status;
    PyInterpreterGuard *guard = rt_open_guard(&current, &status);
    if (guard != NULL) {
        return guard;
    }
    if (status == RT_ERR_NO_MEMORY) {
        PyErr_NoMemory();
    }
    else {
        PyErr_SetString(PyExc_PythonFinalizationError,
                        "no guard can be opened: the interpreter is finalizing");
    }
    return NULL;
}

PyInterpreterGuard *
PyInterpreterGuard_FromView(PyInterpreterView *view)
{
    rt_status status;
    return rt_open_guard(view, &status);
}

void
PyInterpreterGuard_Close(PyInterpreterGuard *guard)
{
    rt_unpin(guard->pins);
    PyMem_RawFree(guard);
}

/* ---- views ---- */

static PyInterpreterView *
rt_new_view(rt_view *rt, PyInterpreterState *interp)
{
    PyInterpreterView *view = PyMem_RawMalloc(sizeof(*view));
    if (view != NULL) {
        *view = (struct PyInterpreterView){rt, interp};
    }
    return view;
}

PyInterpreterView *
PyInterpreterView_FromCurrent(void)
{
    PyInterpreterState *interp = PyInterpreterState_Get();
    PyInterpreterView *view = rt_new_view(interp->atexit.rt_view, interp);
    if (view == NULL) {
        PyErr_NoMemory();
    }
    return view;
}

PyInterpreterView *
PyInterpreterView_FromMain(void)
{
    rt_view *rt = _Py_atomic_load_ptr(&rt_main_view);
    /* While it is not whole, no thread but its own may attach to it. */
    return rt != NULL && Py_IsInitialized() ? rt_new_view(rt, _PyInterpreterState_Main()) : NULL;
}

void
PyInterpreterView_Close(PyInterpreterView *view)
{
    PyMem_RawFree(view);
}

/* ---- thread states ---- */

/* Whether the state is one of the interpreter, in the life, that the view sees. */
static int
rt_is_of(PyThreadState *tstate, rt_view *view)
{
    return tstate != NULL && tstate->interp->atexit.rt_view == view;
}

/* The caller has the interpreter pinned. */
static PyThreadStateToken *
rt_ensure(const struct PyInterpreterView *of)
{
    PyThreadState *attached = current_fast_get();
    if (rt_is_of(attached, of->rt)) {
        ((_PyThreadStateImpl *)attached)->rt_ensured++;
        return RT_ATTACHED_BEFORE;
    }
    if (!_PyRt_AdmitsThreadState()) {
        return NULL;
    }
    PyThreadState *tstate = attached == NULL ? gilstate_tss_get(&_PyRuntime) : NULL;
    if (!rt_is_of(tstate, of->rt)) {
        tstate = _PyThreadState_NewBound(of->interp, _PyThreadState_WHENCE_UNKNOWN);
        if (tstate == NULL) {
            return NULL;
        }
        ((_PyThreadStateImpl *)tstate)->rt_is_ensures = 1;
    }
    (void)_PyThreadState_Swap(&_PyRuntime, tstate);
    ((_PyThreadStateImpl *)tstate)->rt_ensured++;
    return attached == NULL ? RT_NOTHING_BEFORE : (PyThreadStateToken *)attached;
}

PyThreadStateToken *
PyThreadState_Ensure(PyInterpreterGuard *guard)
{
    if (rt_is_of(current_fast_get(), guard->of.rt)) {
        return rt_ensure(&guard->of);
    }
    /* The guard may have been given up: then its interpreter is gone, or goes any moment. The main one's
     * memory always stays. */
    struct rt_pins pins = {NULL, NULL};
    if (guard->of.rt != _Py_atomic_load_ptr(&rt_main_view)
        && rt_pin(&pins, guard->of.rt, "PyThreadState_Ensure", rt_guard_acquire) != RT_OK) {
        return NULL;
    }
    PyThreadStateToken *token = rt_ensure(&guard->of);
    rt_unpin(pins);
    return token;
}

PyThreadStateToken *
PyThreadState_EnsureFromView(PyInterpreterView *view)
{
    PyThreadState *attached = current_fast_get();
    if (rt_is_of(attached, view->rt) && ((_PyThreadStateImpl *)attached)->rt_pins.own != NULL) {
        return rt_ensure(view); /* under an outer call's guard */
    }
    struct rt_pins pins;
    if (rt_pin(&pins, view->rt, "PyThreadState_EnsureFromView", rt_guard_acquire) != RT_OK) {
        return NULL;
    }
    PyThreadStateToken *token = rt_ensure(view);
    if (token == NULL) {
        rt_unpin(pins);
        return NULL;
    }
    _PyThreadStateImpl *tstate = (_PyThreadStateImpl *)current_fast_get();
    if (tstate->rt_pins.own == NULL) {
        tstate->rt_pins = pins;
        tstate->rt_pinned_at = tstate->rt_ensured;
    }
    else {
        rt_unpin(pins); /* it was detached inside an outer call */
    }
    return token;
}

void
PyThreadState_Release(PyThreadStateToken *token)
{
    PyThreadState *tstate = current_fast_get();
    _PyThreadStateImpl *impl = (_PyThreadStateImpl *)tstate;
    if (tstate == NULL || impl->rt_ensured == 0) {
        Py_FatalError("the thread state that is attached is not one that PyThreadState_Ensure() or "
                      "PyThreadState_EnsureFromView() left attached, or it was released already");
    }
    int is_last = impl->rt_ensured == 1 && impl->rt_is_ensures;
    if (is_last) {
        /* Still counted, and under its guard: a destructor may call in and out again. */
        PyThreadState_Clear(tstate);
    }
    struct rt_pins pins = {NULL, NULL};
    if (impl->rt_pinned_at == impl->rt_ensured) {
        pins = impl->rt_pins;
        impl->rt_pins = (struct rt_pins){NULL, NULL};
        impl->rt_pinned_at = 0;
    }
    impl->rt_ensured--;
    if (is_last) {
        _PyThreadState_DeleteCurrent(tstate);
    }
    else if (token != RT_ATTACHED_BEFORE) {
        _PyThreadState_Detach(tstate);
    }
    /* The interpreter is left. Attaching to the previous one may take long, or never return. */
    rt_unpin(pins);
    if (token != RT_ATTACHED_BEFORE && token != RT_NOTHING_BEFORE) {
        _PyThreadState_Attach((PyThreadState *)token);
    }
}
