/*
 * Part of pylifecycle.c: Python's finalization as handlers in the library's phases.
 *
 * CPython's own sequence stays where it is; the integration cuts it into the steps below, which are
 * called in CPython's order, each from the phase it belongs to. Py_FinalizeEx asks the library to
 * finalize, and the library calls back; so a host may as well call rt_finalize_ex.
 */
#include "pycore_initconfig.h"

/* The thread that finalizes, from the first phase on, and its state. */
static unsigned long rt_finalizer;
static PyThreadState *rt_tstate;

/* Whether a flush of CPython's own failed. */
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
    rt_finalizer = PyThread_get_thread_ident();
    _PyRt_Finalizes = _PyRt_Life + 1;
    rt_flush_failed = 0;
    rt_step(RT_STEP_BEGIN);
    return RT_OK;
}

/* The library is going to wait for others, who need the interpreter's lock to come to their end. It has been
 * let go already when the passes go round again: the step to the freeze waits for guards, too. */
static int
rt_let_others(void *Py_UNUSED(arg))
{
    if (rt_tstate != NULL && _PyThreadState_GET() != NULL) {
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
    /* First CPython's own, which says what goes wrong with sys.stdout. Of the others the bytes tell. */
    rt_flush_failed |= rt_step((int)(intptr_t)step) < 0;
    _PyRt_FlushFiles(rt_tstate->interp);
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
        _PyRt_CloseMainView();
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
    {RT_PHASE_FLUSH_EARLY, INT32_MAX, "let guards close", rt_let_others, 0},
    {RT_PHASE_FREEZE, INT32_MIN, "take the lock back", rt_take_back, 0},
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
    static int is_registered;
    /* Before 1.0 the minor version may break the ABI, so all of it has to agree. */
    if (rt_version() != RT_VERSION) {
        return _PyStatus_ERR("rtfinalize: the library that is linked is not of the version of the header "
                             "CPython was built with; build both from the same source");
    }
    if (rt_state_inline() == RT_STATE_FINALIZED) {
        rt_initialize(NULL);
        is_registered = 0;
    }
    if (!is_registered) {
        is_registered = 1;
        return rt_register();
    }
    return _PyStatus_OK();
}

/* ---- when the time is up ---- */

/* Python code that runs past its time is interrupted, as by Ctrl-C. Code that does not heed that is the end
 * of the process, after a flush of its files; so is native code. The finalizing thread is inside the
 * callback: this is called on a thread of the library's. */
static void
rt_interrupt(void)
{
#ifndef MS_WINDOWS
    struct sigaction handler;
    if (sigaction(SIGINT, NULL, &handler) == 0 && handler.sa_handler != SIG_DFL
        && handler.sa_handler != SIG_IGN) {
        pthread_kill((pthread_t)rt_finalizer, SIGINT);
    }
#endif
}

#ifndef MS_WINDOWS
static int rt_flushed;

static void *
rt_flush_with_python(void *Py_UNUSED(arg))
{
    PyGILState_STATE state = PyGILState_Ensure();
    _PyRt_FlushFiles(_PyInterpreterState_GET());
    _Py_atomic_store_int(&rt_flushed, 1);
    PyGILState_Release(state);
    return NULL;
}
#endif

/* The process ends in a moment. Bytes are written without Python; for text the interpreter's lock is
 * needed, which the stuck thread may have: another thread tries, and is waited for a moment. */
static void
rt_rescue_files(void)
{
    _Py_atomic_store_int(&_PyRt_LastChance, 1);
    size_t left = _PyRt_RescueFiles();
#ifndef MS_WINDOWS
    pthread_t thread;
    if (left > 0 && pthread_create(&thread, NULL, rt_flush_with_python, NULL) == 0) {
        for (int i = 0; i < 100 && !_Py_atomic_load_int(&rt_flushed); i++) {
            struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
            nanosleep(&moment, NULL);
        }
        left = _PyRt_RescueFiles();
    }
#endif
    if (left > 0) {
        char line[120];
        int length = PyOS_snprintf(line, sizeof(line), "rtfinalize: 'main': %zu bytes of Python's files are "
                                   "not written\n", left);
        _Py_write_noraise(2, line, (size_t)length);
    }
}

static int32_t
rt_on_event(const rt_event *event, void *Py_UNUSED(arg))
{
    static uint64_t interrupted;
    if (event->kind != RT_EVENT_OVERRUN) {
        return 0;
    }
    if (event->subject != RT_SUBJECT_CALLBACK && event->subject != RT_SUBJECT_RUNTIME) {
        return RT_OVERRUN_SKIP; /* the library's own wait just ends */
    }
    if (_PyRt_IsFrozen()) {
        return RT_OVERRUN_EXIT; /* its files are flushed */
    }
    if (interrupted != event->since_us + 1) {
        interrupted = event->since_us + 1;
        rt_interrupt();
        return RT_OVERRUN_SKIP;
    }
    rt_rescue_files();
    return RT_OVERRUN_EXIT;
}

/* Gives callbacks the time that the library's own waits before the freeze have, for what comes after needs
 * the rest; threading._shutdown a little more, since it ends its wait by itself. */
static void
rt_set_deadline(rt_finalize_options *options, int64_t deadline_us)
{
    int64_t kept_us = deadline_us / 4 < 500000 ? deadline_us / 4 : 500000;
    int64_t callbacks_us = deadline_us - kept_us;
    options->deadline_us = deadline_us;
    options->on_event = rt_on_event;
    options->overrun = RT_OVERRUN_EXIT;
    options->exit_code = 120;
    rt_runtime_set_budget(NULL, RT_PHASE_THREADS, callbacks_us + kept_us / 4);
    rt_runtime_set_budget(NULL, RT_PHASE_PENDING, callbacks_us);
    rt_runtime_set_budget(NULL, RT_PHASE_ATEXIT, callbacks_us);
    rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_EARLY, callbacks_us);
}

/* ---- the call ---- */

/* A time as RTFINALIZE_DEADLINE and -X RTFINALIZE_DEADLINE take it: 5, 5s, 1.5s, 500ms. -1 if it is none. */
static int64_t
rt_microseconds(const char *text)
{
    char *unit;
    double number = text == NULL || !Py_ISDIGIT(text[0]) ? -1 : strtod(text, &unit);
    if (!(number >= 0)) {
        return -1;
    }
    double scale = strcmp(unit, "ms") == 0 ? 1e3 : strcmp(unit, "us") == 0 ? 1 : 1e6;
    return number * scale < 9e15 ? (int64_t)(number * scale) : -1;
}

/* The value of a setting: the environment's, or that of -X NAME=VALUE. The caller's, to be freed. */
static char *
rt_setting(const PyConfig *config, const char *name, const wchar_t *xname)
{
    const char *value = getenv(name);
    if (value != NULL && value[0] != 0) {
        return _PyMem_RawStrdup(value);
    }
    const wchar_t *option = _Py_get_xoption(&config->xoptions, xname);
    const wchar_t *given = option == NULL ? NULL : wcschr(option, L'=');
    return given == NULL ? NULL : _Py_EncodeLocaleRaw(given + 1, NULL);
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
        char *deadline = rt_setting(config, "RTFINALIZE_DEADLINE", L"RTFINALIZE_DEADLINE");
        if (rt_microseconds(deadline) > 0) {
            rt_set_deadline(&options, rt_microseconds(deadline));
        }
        PyMem_RawFree(deadline);
        if (getenv("RTFINALIZE_REPORT") == NULL) {
            wish = rt_setting(config, "RTFINALIZE_REPORT", L"RTFINALIZE_REPORT");
        }
    }
    if (rt_state_inline() != RT_STATE_RUNNING && tstate != NULL
        && rt_finalizer != PyThread_get_thread_ident()) {
        /* Another thread finalizes, and needs the interpreter's lock to get on. */
        _PyThreadState_Detach(tstate);
    }
    rt_status status = rt_finalize(NULL, &options, &report);
    if (report == NULL) {
        PyMem_RawFree(wish);
        return status < 0 ? -1 : 0;
    }
    rt_report_get_summary(report, &summary);
    if (wish != NULL) {
        rt_publish(report, wish);
        PyMem_RawFree(wish);
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
    /* These are ours. */
    RT_SUB_LET_OTHERS,
    RT_SUB_TAKE_BACK,
    RT_SUB_FLUSH,
    RT_SUB_ACCOUNT,
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
    if (step->step == RT_SUB_TAKE_BACK) {
        _PyThreadState_Attach(step->tstate);
    }
    else if (step->step == RT_SUB_LET_OTHERS) {
        if (_PyThreadState_GET() != NULL) {
            _PyThreadState_Detach(step->tstate);
        }
    }
    else if (step->step == RT_SUB_FLUSH) {
        _PyRt_FlushFiles(step->tstate->interp);
    }
    else if (step->step == RT_SUB_ACCOUNT) {
        _PyRt_AccountForFiles(step->tstate->interp);
    }
    else if (step->step != RT_SUB_BEGIN || !step->tstate->interp->finalizing) {
        end_interpreter_step(step->tstate, step->step);
    }
    return RT_OK;
}

void
Py_EndInterpreter(PyThreadState *tstate)
{
    static const struct {
        uint32_t phase;
        int32_t order;
        const char *name;
        int step;
    } handlers[] = {
        {RT_PHASE_GUARDS, INT32_MIN, "begin", RT_SUB_BEGIN},
        {RT_PHASE_GUARDS, -1, "let guards close", RT_SUB_LET_OTHERS},
        {RT_PHASE_GUARDS, 0, "take the lock back", RT_SUB_TAKE_BACK},
        {RT_PHASE_THREADS, -1, "threading._shutdown", RT_SUB_THREADS},
        {RT_PHASE_PENDING, -1, "pending calls", RT_SUB_PENDING},
        {RT_PHASE_ATEXIT, 0, "atexit", RT_SUB_ATEXIT},
        {RT_PHASE_FLUSH_EARLY, -1, "flush files that need Python", RT_SUB_FLUSH},
        {RT_PHASE_FLUSH_EARLY, INT32_MAX, "let guards close", RT_SUB_LET_OTHERS},
        {RT_PHASE_FREEZE, INT32_MIN, "take the lock back", RT_SUB_TAKE_BACK},
        {RT_PHASE_FREEZE, -1, "stop threads", RT_SUB_FREEZE},
        {RT_PHASE_FLUSH_FROZEN, -1, "flush files", RT_SUB_FLUSH},
        {RT_PHASE_FINALIZE, 0, "clear modules", RT_SUB_FINALIZE},
        {RT_PHASE_FLUSH_LATE, -1, "flush files", RT_SUB_FLUSH},
        {RT_PHASE_FLUSH_LATE, 0, "account for files", RT_SUB_ACCOUNT},
        {RT_PHASE_DEALLOC, 0, "clear the interpreter", RT_SUB_DEALLOC},
    };
    struct rt_sub_step steps[Py_ARRAY_LENGTH(handlers)];
    PyInterpreterState *interp = tstate->interp;
    rt_runtime *runtime = interp->atexit.rt;
    rt_view *view = interp->atexit.rt_view;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(handlers); i++) {
        steps[i] = (struct rt_sub_step){tstate, handlers[i].step};
        rt_phase_add_handler(runtime, handlers[i].phase, handlers[i].order, handlers[i].name,
                             rt_sub_step, &steps[i], NULL);
    }
    if (_PyRt_IsFrozen()) {
        /* The main interpreter has waited for these guards as for its own, and their threads do not run any
         * more. */
        rt_runtime_set_budget(runtime, RT_PHASE_GUARDS, 0);
    }
    rt_finalize(runtime, NULL, NULL);
    rt_view_close(view);
    rt_runtime_free(runtime);
    _PyRt_ForgetFiles(interp);
}
