/*
 * Part of pylifecycle.c: Python's finalization as handlers in the library's phases.
 *
 * CPython's own sequence stays where it is; the integration cuts it into the steps below, which are
 * called in CPython's order, each from the phase it belongs to. Py_FinalizeEx asks the library to
 * finalize, and the library calls back; so a host may as well call rt_finalize_ex.
 */
#include "pycore_initconfig.h"

/* The end of an interpreter. The library's phases call its steps, which are CPython's; what they do not know
 * does nothing. */
struct rt_end {
    PyThreadState *tstate; /* of the thread that ends it; NULL: there is nothing to end */
    int (*step)(PyThreadState *tstate, int step);
    int is_begun;
};

/* Of the main interpreter, and with it of Python. */
static struct rt_end rt_main = {NULL, finalize_step, 0};

/* The thread that finalizes, from the first phase on. */
static unsigned long rt_finalizer;

/* Whether a flush of CPython's own failed. */
static int rt_flush_failed;

/* ---- the handlers ---- */

static int
rt_step(struct rt_end *end, int step)
{
    return end->step(end->tstate, step);
}

/* Once, though the passes may go round again. */
static int
rt_begin(struct rt_end *end, int step)
{
    end->is_begun = 1;
    return end->tstate->interp->finalizing ? RT_OK : rt_step(end, step);
}

/* The library is going to wait for others, who need the interpreter's lock to come to their end. It has been
 * let go already when the passes go round again: the step to the freeze waits for guards, too. */
static int
rt_let_others(struct rt_end *end, int Py_UNUSED(step))
{
    if (_PyThreadState_GET() != NULL) {
        _PyThreadState_Detach(end->tstate);
    }
    return RT_OK;
}

static int
rt_take_back(struct rt_end *end, int Py_UNUSED(step))
{
    _PyThreadState_Attach(end->tstate);
    return RT_OK;
}

static int
rt_threads(struct rt_end *end, int step)
{
    PyObject *threading = PyImport_GetModule(&_Py_ID(threading));
    if (threading != NULL) {
        rt_may_wait(end->tstate->interp->atexit.rt); /* its own callbacks may, and so do threads that are joined */
        Py_DECREF(threading);
    }
    rt_step(end, step);
    return rt_let_others(end, step);
}

static int
rt_exit_callbacks(struct rt_end *end, int Py_UNUSED(step))
{
    _PyRt_HandOverExitCallbacks(end->tstate->interp);
    return RT_OK;
}

static int
rt_flush_early(struct rt_end *end, int Py_UNUSED(step))
{
    _PyRt_FlushFiles(end->tstate->interp);
    return RT_OK;
}

static int
rt_flush(struct rt_end *end, int step)
{
    /* First CPython's own, which says what goes wrong with sys.stdout. Of the others the bytes tell. */
    if (rt_step(end, step) < 0) {
        rt_flush_failed = 1;
    }
    _PyRt_FlushFiles(end->tstate->interp);
    return RT_OK;
}

static int
rt_account(struct rt_end *end, int Py_UNUSED(step))
{
    _PyRt_AccountForFiles(end->tstate->interp);
    return RT_OK;
}

/* Negative orders come before the phase's own work. By themselves none of them makes the library begin a thread:
 * that is for exit callbacks. */
static const struct rt_handler {
    uint32_t phase;
    int32_t order;
    const char *name;
    int (*handler)(struct rt_end *end, int step);
    int step;
} rt_handlers[] = {
    {RT_PHASE_GUARDS, -2, "begin", rt_begin, RT_STEP_BEGIN},
    {RT_PHASE_GUARDS, -1, "let guards close", rt_let_others, 0},
    {RT_PHASE_GUARDS, 0, "take the lock back", rt_take_back, 0},
    {RT_PHASE_THREADS, -1, "threading._shutdown", rt_threads, RT_STEP_THREADS},
    {RT_PHASE_THREADS, 0, "take the lock back", rt_take_back, 0},
    {RT_PHASE_PENDING, -1, "pending calls", rt_step, RT_STEP_PENDING},
    {RT_PHASE_ATEXIT, -1, "exit callbacks", rt_exit_callbacks, 0},
    {RT_PHASE_ATEXIT, 0, "exit callbacks are over", rt_step, RT_STEP_ATEXIT},
    {RT_PHASE_FLUSH_EARLY, -1, "flush files that need Python", rt_flush_early, 0},
    {RT_PHASE_FLUSH_EARLY, INT32_MAX, "let guards close", rt_let_others, 0},
    {RT_PHASE_FREEZE, INT32_MIN, "take the lock back", rt_take_back, 0},
    {RT_PHASE_FREEZE, -1, "stop threads", rt_step, RT_STEP_FREEZE},
    {RT_PHASE_FLUSH_FROZEN, -1, "flush files", rt_flush, RT_STEP_FLUSH},
    {RT_PHASE_FINALIZE, 0, "clear modules", rt_step, RT_STEP_FINALIZE},
    {RT_PHASE_FLUSH_LATE, -1, "flush files", rt_flush, RT_STEP_FLUSH_AGAIN},
    {RT_PHASE_FLUSH_LATE, 0, "account for files", rt_account, 0},
    {RT_PHASE_DEALLOC, 0, "clear the interpreter", rt_step, RT_STEP_DEALLOC},
};

/* A handler, and the end that it is for. */
struct rt_task {
    const struct rt_handler *of;
    struct rt_end *end;
};

#define RT_TASKS Py_ARRAY_LENGTH(rt_handlers)

static int
rt_do(void *arg)
{
    const struct rt_task *task = arg;
    return task->end->tstate == NULL ? RT_OK : task->of->handler(task->end, task->of->step);
}

static rt_status
rt_add_handler(rt_runtime *runtime, uint32_t phase, int32_t order, const char *name, rt_callback call, void *arg)
{
    rt_handler_options options = {.struct_size = sizeof options, .order = order, .work = RT_WORK_BRIEF};
    return rt_phase_add_handler_ex(runtime, phase, name, &options, call, arg, NULL);
}

/* `tasks` has to stay until the runtime is finalized. */
static rt_status
rt_add_handlers(rt_runtime *runtime, struct rt_end *end, struct rt_task tasks[RT_TASKS])
{
    for (size_t i = 0; i < RT_TASKS; i++) {
        const struct rt_handler *of = &rt_handlers[i];
        tasks[i] = (struct rt_task){of, end};
        rt_status status = rt_add_handler(runtime, of->phase, of->order, of->name, rt_do, &tasks[i]);
        if (status < 0) {
            return status;
        }
    }
    return RT_OK;
}

/* ---- the main interpreter ---- */

static int
rt_begins(void *Py_UNUSED(arg))
{
    if (!_PyRuntime.initialized || rt_main.tstate != NULL) {
        return RT_OK;
    }
    /* A host that asks the library itself may have left Python. */
    if (_PyThreadState_GET() == NULL) {
        PyGILState_Ensure();
    }
    rt_main.tstate = resolve_final_tstate(&_PyRuntime);
    rt_finalizer = PyThread_get_thread_ident();
    _PyRt_Finalizes = _PyRt_Life + 1;
    rt_flush_failed = 0;
    _PyRt_HasDeadline = rt_time_left(NULL) >= 0; /* in a phase that has no other bound */
    _PyRt_ReadSettings(rt_main.tstate->interp);
    _PyRt_DescribeFinalizer(rt_main.tstate);
    return RT_OK;
}

static int
rt_ends(void *Py_UNUSED(arg))
{
    if (rt_main.tstate != NULL) {
        /* Before anything resets what CPython knows a late thread by. */
        _PyRt_Life++;
        _PyRt_DescribeFinalizer(NULL);
        rt_step(&rt_main, RT_STEP_END);
        _PyRt_SayOtherLosses();
        rt_main.tstate = NULL;
        _PyRt_CloseMainView();
        _PyRt_HasFinalized();
    }
    return RT_OK;
}

static PyStatus
rt_register(void)
{
    static struct rt_task tasks[RT_TASKS];
    if (rt_add_handler(NULL, RT_PHASE_GUARDS, INT32_MIN, "find the thread", rt_begins, NULL) < 0
        || rt_add_handlers(NULL, &rt_main, tasks) < 0
        || rt_add_handler(NULL, RT_PHASE_EXIT_FUNCTIONS, INT32_MAX, "end", rt_ends, NULL) < 0) {
        return _PyStatus_ERR("rtfinalize: a handler could not be registered");
    }
    return _PyStatus_OK();
}

PyStatus
_PyRt_Begin(void)
{
    static int is_registered;
    /* Before 1.0 the minor version may break the ABI, so all of it has to agree. */
    if (rt_version() != RT_VERSION_NUMBER) {
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
static PyEvent rt_flushed;

static void *
rt_flush_with_python(void *Py_UNUSED(arg))
{
    (void)PyGILState_Ensure();
    PyInterpreterState *interp = _PyInterpreterState_GET();
    _PyRt_FlushFiles(interp);
    /* What a thread wrote from here on would neither arrive nor be counted: it gets the lock no more. */
    _PyEval_StopTheWorld(interp);
    _PyRt_RescueFiles();
    _PyRt_AccountForFiles(interp);
    _PyRt_SayOtherLosses();
    _PyEvent_Notify(&rt_flushed);
    for (;;) {
        pause();
    }
    return NULL;
}
#endif

/* The process ends in a moment. Text needs the interpreter's lock, which the stuck thread may have: another thread
 * tries, keeps it if it gets it, and is waited for a moment. If it does not, bytes are written without Python. */
static void
rt_rescue_files(void)
{
    _Py_atomic_store_int(&_PyRt_LastChance, 1);
#ifndef MS_WINDOWS
    pthread_t thread;
    if (pthread_create(&thread, NULL, rt_flush_with_python, NULL) == 0) {
        if (PyEvent_WaitTimed(&rt_flushed, 500 * 1000 * 1000, 0)) {
            return;
        }
    }
#endif
    size_t left = _PyRt_RescueFiles();
    if (left > 0) {
        rt_report_destination lost = {.struct_size = sizeof(lost), .name = "Python's files",
                                      .reason = "the deadline passed", .accepted = left, .unwritten = left};
        rt_note_destination(NULL, &lost);
        _PyRt_Say("'main': %zu bytes of Python's files are not written", left);
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
        _PyRt_SayOtherLosses();
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

/* ---- the call ---- */

/* -X NAME=VALUE sets what the environment's variable of that name does. */
static void
rt_apply_xoption(rt_runtime *runtime, const PyConfig *config, const wchar_t *xname, const char *name)
{
    const wchar_t *option = _Py_get_xoption(&config->xoptions, xname);
    const wchar_t *given = option == NULL ? NULL : wcschr(option, L'=');
    char *value = given == NULL ? NULL : _Py_EncodeLocaleRaw(given + 1, NULL);
    if (value != NULL && rt_runtime_set_text(runtime, name, value) < 0) {
        fprintf(stderr, "rtfinalize: -X %s\n", rt_last_error());
    }
    PyMem_RawFree(value);
}

static void
rt_apply_xoptions(PyInterpreterState *interp)
{
    const PyConfig *config = _PyInterpreterState_GetConfig(interp);
    rt_apply_xoption(interp->atexit.rt, config, L"RTFINALIZE_DEADLINE", "RTFINALIZE_DEADLINE");
    rt_apply_xoption(interp->atexit.rt, config, L"RTFINALIZE_GRACE", "RTFINALIZE_GRACE");
    rt_apply_xoption(interp->atexit.rt, config, L"RTFINALIZE_NOTICE", "RTFINALIZE_NOTICE");
    if (_Py_IsMainInterpreter(interp)) {
        rt_apply_xoption(NULL, config, L"RTFINALIZE_REPORT", "RTFINALIZE_REPORT");
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
    PyThreadState *tstate = _PyThreadState_GET();
    if (tstate != NULL) {
        rt_apply_xoptions(tstate->interp);
    }
    if (rt_runtime_deadline(NULL) > 0) {
        options.on_event = rt_on_event;
        options.overrun = RT_OVERRUN_EXIT;
        options.exit_code = 120;
    }
    if (rt_state_inline() != RT_STATE_RUNNING && tstate != NULL
        && rt_finalizer != PyThread_get_thread_ident()) {
        /* Another thread finalizes, and needs the interpreter's lock to get on. */
        _PyThreadState_Detach(tstate);
    }
    rt_status status = rt_finalize(NULL, &options, &report);
    if (report == NULL) {
        return status < 0 ? -1 : 0;
    }
    rt_report_get_summary(report, &summary);
    rt_report_free(report);
    _PyRt_CloseLateWriters();
    return rt_flush_failed || summary.unwritten + summary.in_flight > 0 ? -1 : 0;
}

int
_PyRt_ExitCode(int code, int finalized)
{
    if (finalized >= 0) {
        return code;
    }
    return rt_flush_failed || code == 0 ? 120 : code;
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

static int end_interpreter_step(PyThreadState *tstate, int step);

/* The library has no memory for it: all steps, in their order, and CPython's own calls of exit callbacks. */
static void
rt_end_alone(struct rt_end *end)
{
    for (size_t i = 0; i < RT_TASKS; i++) {
        if (rt_handlers[i].handler != rt_exit_callbacks) {
            rt_handlers[i].handler(end, rt_handlers[i].step);
        }
    }
}

/* The phases are those of the interpreter's own runtime; what its files lose is in the process's account. */
void
Py_EndInterpreter(PyThreadState *tstate)
{
    PyInterpreterState *interp = tstate->interp;
    rt_runtime *runtime = interp->atexit.rt;
    rt_view *view = interp->atexit.rt_view;
    struct rt_end end = {tstate, end_interpreter_step, 0};
    struct rt_task tasks[RT_TASKS];
    rt_status status = rt_add_handlers(runtime, &end, tasks);
    if (status == RT_OK) {
        rt_apply_xoptions(interp);
        if (_PyRt_IsFrozen()) {
            /* The main interpreter has waited for these guards as for its own, and their threads do not run any
             * more. */
            rt_runtime_set_budget(runtime, RT_PHASE_GUARDS, 0);
        }
        status = rt_finalize(runtime, NULL, NULL);
    }
    if (status < 0 && !end.is_begun) {
        rt_end_alone(&end);
    }
    rt_view_close(view);
    rt_runtime_free(runtime);
    _PyRt_ForgetFiles(interp);
    if (!_PyRt_IsFrozen()) {
        _PyRt_SayOtherLosses(); /* else it is a part of the end of Python, which says it */
    }
}
