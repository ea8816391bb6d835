/*
 * Part of pylifecycle.c: Python's finalization as handlers in the library's phases.
 *
 * CPython's own sequence stays where it is; the integration cuts it into the steps below, which are
 * called in CPython's order, each from the phase it belongs to. Py_FinalizeEx asks the library to
 * finalize, and the library calls back; so a host may as well call rt_finalize_ex.
 */
#include "pycore_initconfig.h"

/* The thread that finalizes, from the first phase on, and its state. */
unsigned long _PyRt_Finalizer;
static PyThreadState *rt_tstate;

/* Whether a flush of CPython's own, or of a file, failed. */
static int rt_flush_failed;

static int
rt_step(int step)
{
    return finalize_step(&_PyRuntime, rt_tstate, step);
}

/* ---- the handlers ---- */

static int
rt_begins(void *Py_UNUSED(arg))
{
    if (!_PyRuntime.initialized || rt_tstate != NULL) {
        return RT_OK;
    }
    /* A host that asks the library itself may have left Python. */
    if (_PyThreadState_GET() == NULL) {
        PyGILState_Ensure();
    }
    rt_tstate = resolve_final_tstate(&_PyRuntime);
    _PyRt_Finalizer = PyThread_get_thread_ident();
    rt_flush_failed = 0;
    rt_step(RT_STEP_BEGIN);
    return RT_OK;
}

/* The library is going to wait for others, who need the interpreter's lock to come to their end. */
static int
rt_let_others(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL) {
        _PyThreadState_Detach(rt_tstate);
    }
    return RT_OK;
}

static int
rt_take_back(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL) {
        _PyThreadState_Attach(rt_tstate);
    }
    return RT_OK;
}

static int
rt_plain_step(void *step)
{
    return rt_tstate == NULL ? RT_OK : rt_step((int)(intptr_t)step);
}

static int
rt_threads(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL) {
        rt_step(RT_STEP_THREADS);
        _PyThreadState_Detach(rt_tstate);
    }
    return RT_OK;
}

static int
rt_flush_early(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL) {
        _PyRt_FlushFiles(rt_tstate->interp);
    }
    return RT_OK;
}

static int
rt_flush(void *step)
{
    if (rt_tstate == NULL) {
        return RT_OK;
    }
    /* First CPython's own, which says what goes wrong with sys.stdout. */
    int failed = rt_step((int)(intptr_t)step) < 0;
    failed |= _PyRt_FlushFiles(rt_tstate->interp) > 0;
    rt_flush_failed |= failed;
    return RT_OK;
}

static int
rt_account(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL) {
        _PyRt_AccountForFiles(rt_tstate->interp);
    }
    return RT_OK;
}

static int
rt_ends(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL) {
        /* Before anything resets what CPython knows a late thread by. */
        _PyRt_Life++;
        rt_step(RT_STEP_END);
        rt_tstate = NULL;
    }
    return RT_OK;
}

/* Negative orders come before the phase's own work. */
static const struct {
    uint32_t phase;
    int32_t order;
    const char *name;
    rt_callback handler;
    int step;
} rt_handlers[] = {
    {RT_PHASE_GUARDS, INT32_MIN, "begin", rt_begins, 0},
    {RT_PHASE_GUARDS, -1, "let guards close", rt_let_others, 0},
    {RT_PHASE_GUARDS, 0, "take the lock back", rt_take_back, 0},
    {RT_PHASE_THREADS, -1, "threading._shutdown", rt_threads, 0},
    {RT_PHASE_THREADS, 0, "take the lock back", rt_take_back, 0},
    {RT_PHASE_PENDING, -1, "pending calls", rt_plain_step, RT_STEP_PENDING},
    {RT_PHASE_ATEXIT, 0, "atexit", rt_plain_step, RT_STEP_ATEXIT},
    {RT_PHASE_FLUSH_EARLY, -1, "flush files that need Python", rt_flush_early, 0},
    {RT_PHASE_FREEZE, -1, "stop threads", rt_plain_step, RT_STEP_FREEZE},
    {RT_PHASE_FLUSH_FROZEN, -1, "flush files", rt_flush, RT_STEP_FLUSH},
    {RT_PHASE_FINALIZE, 0, "clear modules", rt_plain_step, RT_STEP_FINALIZE},
    {RT_PHASE_FLUSH_LATE, -1, "flush files", rt_flush, RT_STEP_FLUSH_AGAIN},
    {RT_PHASE_FLUSH_LATE, 0, "account for files", rt_account, 0},
    {RT_PHASE_DEALLOC, 0, "clear the interpreter", rt_plain_step, RT_STEP_DEALLOC},
    {RT_PHASE_EXIT_FUNCTIONS, INT32_MAX, "end", rt_ends, 0},
};

static PyStatus
rt_register(void)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rt_handlers); i++) {
        if (rt_phase_add_handler(NULL, rt_handlers[i].phase, rt_handlers[i].order,
                                 rt_handlers[i].name, rt_handlers[i].handler,
                                 (void *)(intptr_t)rt_handlers[i].step, NULL) < 0) {
            return _PyStatus_ERR("rtfinalize: a handler could not be registered");
        }
    }
    return _PyStatus_OK();
}

PyStatus
_PyRt_Begin(void)
{
    static uint32_t registered_in;
    /* Before 1.0 the minor version may break the ABI, so all of it has to agree. */
    if (rt_version() != RT_VERSION) {
        return _PyStatus_ERR("rtfinalize: the library that is linked is not of the version of the header "
                             "CPython was built with; build both from the same source");
    }
    if (rt_state_inline() == RT_STATE_FINALIZED) {
        rt_initialize(NULL);
        registered_in = 0;
    }
    if (registered_in == 0) {
        registered_in = 1;
        return rt_register();
    }
    return _PyStatus_OK();
}

/* ---- the call ---- */

/* Settings of the command line: -X RTFINALIZE_DEADLINE=5s, -X RTFINALIZE_REPORT=json:PATH. */
static int64_t
rt_microseconds(const wchar_t *text)
{
    wchar_t *unit;
    double number = wcstod(text, &unit);
    if (unit == text || !(number >= 0)) {
        return 0;
    }
    double scale = wcscmp(unit, L"ms") == 0 ? 1e3 : wcscmp(unit, L"us") == 0 ? 1 : 1e6;
    return number * scale < 9e18 ? (int64_t)(number * scale) : INT64_MAX;
}

static const wchar_t *
rt_xoption(const PyConfig *config, const wchar_t *name)
{
    const wchar_t *option = _Py_get_xoption(&config->xoptions, name);
    const wchar_t *value = option == NULL ? NULL : wcschr(option, L'=');
    return value == NULL ? NULL : value + 1;
}

static void
rt_publish(const rt_report *report, const char *wish)
{
    const char *path = strchr(wish, ':');
    size_t length = path == NULL ? strlen(wish) : (size_t)(path - wish);
    uint32_t form = strncmp(wish, "json", length) == 0    ? RT_REPORT_JSON
                    : strncmp(wish, "trace", length) == 0 ? RT_REPORT_TRACE
                                                          : RT_REPORT_TEXT;
    int fd = path == NULL ? 2 : open(path + 1, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || rt_report_write(report, form, fd) < 0) {
        fprintf(stderr, "rtfinalize: the report could not be written to %s\n", path == NULL ? "stderr" : path + 1);
    }
    if (path != NULL && fd >= 0) {
        close(fd);
    }
}

static int
_Py_Finalize(_PyRuntimeState *runtime)
{
    if (!runtime->initialized) {
        return 0;
    }
    rt_finalize_options options = {.struct_size = sizeof options};
    rt_report *report = NULL;
    rt_report_summary summary = {.struct_size = sizeof summary};
    char *wish = NULL;
    PyThreadState *tstate = _PyThreadState_GET();
    if (tstate != NULL) {
        const PyConfig *config = _PyInterpreterState_GetConfig(tstate->interp);
        const wchar_t *deadline = rt_xoption(config, L"RTFINALIZE_DEADLINE");
        const wchar_t *form = rt_xoption(config, L"RTFINALIZE_REPORT");
        if (deadline != NULL) {
            options.deadline_us = rt_microseconds(deadline);
        }
        if (form != NULL) {
            wish = Py_EncodeLocale(form, NULL);
        }
    }
    if (rt_state_inline() != RT_STATE_RUNNING && tstate != NULL
        && _PyRt_Finalizer != PyThread_get_thread_ident()) {
        /* Another thread finalizes, and needs the interpreter's lock to get on. */
        _PyThreadState_Detach(tstate);
    }
    rt_status status = rt_finalize(NULL, &options, &report);
    if (report == NULL) {
        PyMem_Free(wish);
        return status < 0 ? -1 : 0;
    }
    rt_report_get_summary(report, &summary);
    if (wish != NULL) {
        rt_publish(report, wish);
        free(wish);
    }
    rt_report_free(report);
    _PyRt_CloseLateWriters();
    return rt_flush_failed || summary.unwritten + summary.in_flight > 0 ? -1 : 0;
}

/* ---- Py_AtExit ---- */

static int
rt_call_exit_function(void *func)
{
    ((void (*)(void))func)();
    return 0;
}

static int
rt_at_exit(void (*func)(void))
{
    if (rt_state_inline() == RT_STATE_FINALIZED && _PyStatus_EXCEPTION(_PyRt_Begin())) {
        return -1;
    }
    return rt_exit_function(NULL, NULL, rt_call_exit_function, (void *)func, NULL) < 0 ? -1 : 0;
}

/* ---- a subinterpreter ---- */

/* Likewise cut into steps, which the phases of the interpreter's own runtime call. */
enum {
    RT_SUB_BEGIN,
    RT_SUB_THREADS,
    RT_SUB_PENDING,
    RT_SUB_ATEXIT,
    RT_SUB_FREEZE,
    RT_SUB_FINALIZE,
    RT_SUB_DEALLOC,
    RT_SUB_STEPS,
};

static void end_interpreter_step(PyThreadState *tstate, int step);

struct rt_sub_step {
    PyThreadState *tstate;
    int step;
};

static int
rt_sub_step(void *arg)
{
    const struct rt_sub_step *step = arg;
    end_interpreter_step(step->tstate, step->step);
    return RT_OK;
}

static int
rt_sub_let_others(void *tstate)
{
    _PyThreadState_Detach(tstate);
    return RT_OK;
}

static int
rt_sub_take_back(void *tstate)
{
    _PyThreadState_Attach(tstate);
    return RT_OK;
}

void
Py_EndInterpreter(PyThreadState *tstate)
{
    static const struct {
        uint32_t phase;
        int32_t order;
        const char *name;
    } handlers[RT_SUB_STEPS] = {
        [RT_SUB_BEGIN] = {RT_PHASE_GUARDS, INT32_MIN, "begin"},
        [RT_SUB_THREADS] = {RT_PHASE_THREADS, -1, "threading._shutdown"},
        [RT_SUB_PENDING] = {RT_PHASE_PENDING, -1, "pending calls"},
        [RT_SUB_ATEXIT] = {RT_PHASE_ATEXIT, 0, "atexit"},
        [RT_SUB_FREEZE] = {RT_PHASE_FREEZE, -1, "stop threads"},
        [RT_SUB_FINALIZE] = {RT_PHASE_FINALIZE, 0, "clear modules"},
        [RT_SUB_DEALLOC] = {RT_PHASE_DEALLOC, 0, "clear the interpreter"},
    };
    struct rt_sub_step steps[RT_SUB_STEPS];
    PyInterpreterState *interp = tstate->interp;
    rt_runtime *runtime = interp->atexit.rt;
    for (int i = 0; i < RT_SUB_STEPS; i++) {
        steps[i].tstate = tstate;
        steps[i].step = i;
        rt_phase_add_handler(runtime, handlers[i].phase, handlers[i].order, handlers[i].name,
                             rt_sub_step, &steps[i], NULL);
    }
    rt_phase_add_handler(runtime, RT_PHASE_GUARDS, -1, "let guards close", rt_sub_let_others, tstate, NULL);
    rt_phase_add_handler(runtime, RT_PHASE_GUARDS, 0, "take the lock back", rt_sub_take_back, tstate, NULL);
    rt_finalize(runtime, NULL, NULL);
    rt_runtime_free(runtime);
    _PyRt_ForgetFiles(interp);
}
