/*
 * A Python that a host has embedded.
 *
 * Its lives. One begins with rtpy_start and ends with the finalization of its runtime, by rtpy_finalize or with the parent
 * runtime's. `state` is changed under `lives` only:
 *
 *     NO_LIFE --rtpy_start--> LIVES --end_python--> ENDED        Py_FinalizeEx was called; rtpy_start may follow
 *                                   --end_python--> LEFT_ALONE   it was not; for good
 *
 * A thread that comes in reads `view`, which is that of the present life (Release in rtpy_start, Acquire in rtpy_ensure: a
 * thread that sees the view finds Python initialized), and takes a guard from it: from the view of a life that is over none
 * is to be had, and while one is open the finalization does not go on to stop threads and to end Python. So whoever has
 * a guard may take the interpreter's lock. The one exception are guards that are open when the deadline passes: then Python
 * is left alone.
 */
#include "rtfinalize_python.h"

enum life_state { NO_LIFE, LIVES, ENDED, LEFT_ALONE };

static pthread_mutex_t lives = PTHREAD_MUTEX_INITIALIZER;
static enum life_state state;
static char not_again[512]; /* why rtpy_start cannot start Python again; empty if it can */
static _Atomic(rt_view *) view;
static atomic_uint life;

/* The life whose Python is gone, or is about to be on the thread that asks. */
static atomic_uint gone;

/* Whether the calling thread has the interpreter's lock. PyGILState_Check says yes to everybody once there was a
 * subinterpreter. */
static int has_lock(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked() != NULL;
#else
    /* Until 3.11 that is the state of whichever thread has the lock. */
    PyThreadState *own = PyGILState_GetThisThreadState();
    return own != NULL && own == _PyThreadState_UncheckedGet();
#endif
}

/* Whether the calling thread has the interpreter's lock in a subinterpreter: Python is ended in the main one. */
static int has_lock_of_subinterpreter(void)
{
#if PY_VERSION_HEX >= 0x030C0000
#if PY_VERSION_HEX >= 0x030D0000
    PyThreadState *now = PyThreadState_GetUnchecked();
#else
    PyThreadState *now = _PyThreadState_UncheckedGet();
#endif
    return now != NULL && PyThreadState_GetInterpreter(now) != PyInterpreterState_Main();
#else
    /* Until 3.11 that is the state of whichever thread has the lock, and may be gone at any moment: what is read here is
     * what the kernel finds there. Nobody else frees it if it is the calling thread's. */
    PyThreadState *now = _PyThreadState_UncheckedGet(), copy;
    struct iovec to = {&copy, sizeof copy}, from = {now, sizeof copy};
    return now != NULL && process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof copy
        && copy.thread_id == PyThread_get_thread_ident() && copy.interp != PyInterpreterState_Main();
#endif
}

/* The thread state of a thread that calls rtpy_finalize with the interpreter's lock. */
static _Thread_local PyThreadState *caller;

/* Whether Python code has called the host, which is about to end Python: it could not come back to that code. */
static int is_called_by_python(void)
{
    PyThreadState *own = Py_IsInitialized() ? PyGILState_GetThisThreadState() : NULL;
    int had_lock = has_lock(), is;
    /* Without the lock it is asked only while Python is sure to be there. */
    if (own == NULL || (!had_lock && rt_runtime_state(native_runtime) != RT_STATE_RUNNING)) {
        return 0;
    }
    if (!had_lock) {
        PyEval_RestoreThread(own);
    }
    is = PyEval_GetFrame() != NULL;
    if (!had_lock) {
        PyEval_SaveThread();
    }
    return is;
}

/* The finalizing thread has the interpreter's lock, but no engine yet: there is nothing that could be interrupted. */
static atomic_int makes_engine;

/* Somebody wants a report. */
static int is_reported;

/* A guard was not waited for any longer. */
static atomic_int has_open_guards;

static rt_event_callback host_on_event;
static void *host_event_arg;

/* ---- what is done in the phases, besides the steps ---- */

/* Has Python raise KeyboardInterrupt when the signal comes; it does so on its main thread only. */
static int is_interrupted_by(int number)
{
    PyObject *answer = PyObject_CallMethod(native_engine, "interrupt_by", "i", number);
    int is = answer == Py_True;
    PyErr_Clear();
    Py_XDECREF(answer);
    return is;
}

/* Whether the finalizing thread blocked the signal that interrupts, and blocks it again afterwards. */
static int was_blocked;

static void prepare_interruption(void)
{
    sigset_t signals, before;
    int number;
    if (rt_runtime_deadline(native_runtime) <= 0) {
        return;
    }
    number = unused_signal();
    if (number != 0 && is_interrupted_by(number)) {
        sigemptyset(&signals);
        sigaddset(&signals, number);
        pthread_sigmask(SIG_UNBLOCK, &signals, &before);
        was_blocked = sigismember(&before, number);
        native_interrupt_by(number);
    }
}

/* The first of all, in each pass: the finalizing thread comes to Python, whoever called it, and makes an engine. */
static int make_ready(void *unused)
{
    PyObject *engine, *shutdown = NULL;
    (void)unused;
    if (native_finalizing != NULL) {
        return RT_OK;
    }
    if (caller != NULL) {
        PyEval_RestoreThread(caller);
    }
    else if (!has_lock()) {
        rt_may_wait(native_runtime);
        PyGILState_Ensure();
    }
    makes_engine = 1;
    native_go_on();
    native_note_main_thread();
    native_bound_this_thread();
    engine = new_engine(is_reported);
    if (engine != NULL) {
        shutdown = PyObject_GetAttrString(engine, "shutdown");
    }
    if (shutdown != NULL) {
        native_use(engine, shutdown);
        prepare_interruption();
        rt_describe_work(native_runtime, native_describe);
    }
    else {
        PyErr_WriteUnraisable(NULL);
    }
    Py_XDECREF(shutdown);
    Py_XDECREF(engine);
    native_finalizing = PyEval_SaveThread();
    makes_engine = 0;
    return shutdown == NULL ? -1 : RT_OK;
}

static void leave_alone(const char *why)
{
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_HOST, .name = "Python", .reason = why};
    rt_note_leak(native_runtime, &leak);
    pthread_mutex_lock(&lives);
    state = LEFT_ALONE;
    snprintf(not_again, sizeof not_again, "Python cannot be started again: it was left alone, for %s", why);
    pthread_mutex_unlock(&lives);
}

/* Whether Python can be finalized; if not, it is left alone. With the interpreter's lock. */
static int can_be_finalized(void)
{
    PyObject *obstacle = NULL, *text = NULL;
    const char *why = "the engine could not be made";
    int can = 0;
    if (native_engine != NULL) {
        obstacle = PyObject_CallMethod(native_engine, "obstacle", "i", (int)has_open_guards);
        text = obstacle == NULL ? NULL : PyUnicode_AsEncodedString(obstacle, "utf-8", "replace");
        why = text == NULL ? "it cannot be said who may touch it again" : PyBytes_AsString(text);
        can = text != NULL && PyBytes_Size(text) == 0;
        PyErr_Clear();
    }
    if (!can) {
        leave_alone(why);
    }
    Py_XDECREF(text);
    Py_XDECREF(obstacle);
    return can;
}

static int raise_interrupt(void *unused)
{
    (void)unused;
    PyErr_SetNone(PyExc_KeyboardInterrupt);
    return -1;
}

/* CPython has given up its own signals by the time destructors run. A signal wakes what waits, and a pending call
 * interrupts what runs; until 3.12 only the main thread itself can ask for one that it sees. */
static void interrupt_destructor(int number)
{
    int error = errno;
    (void)number;
    Py_AddPendingCall(raise_interrupt, NULL);
    errno = error;
}

static int finalize_python(int number)
{
    struct sigaction ours = {.sa_handler = interrupt_destructor}, before;
    int status;
    sigemptyset(&ours.sa_mask);
    native_bounds.interrupted = 0;
    if (number != 0) {
        sigaction(number, &ours, &before);
        native_interrupt_by(number);
    }
    status = Py_FinalizeEx();
    if (number != 0) {
        native_interrupt_by(0);
        sigaction(number, &before, NULL);
    }
    return native_bounds.interrupted != 0 ? -1 : status;
}

/* No interruption is wanted any more, and none is on its way. */
static void forget_interruption(int number)
{
    sigset_t signals;
    if (number != 0 && was_blocked) {
        sigemptyset(&signals);
        sigaddset(&signals, number);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
    }
    was_blocked = 0;
}

/* The end of the engine; answers by which signal it had Python code interrupted. */
static int end_engine(const char *method)
{
    PyObject *done = NULL;
    int number = native_bounds.interrupts_by;
    native_interrupt_by(0);
    native_release_signals(0);
    if (PyErr_CheckSignals() < 0) {
        PyErr_Clear(); /* the interruption that came last */
    }
    if (native_engine != NULL) {
        done = PyObject_CallMethod(native_engine, method, NULL);
        if (done == NULL) {
            PyErr_WriteUnraisable(native_engine);
        }
    }
    Py_XDECREF(done);
    Py_CLEAR(native_engine);
    native_finalizing = NULL;
    return number;
}

static int end_python(void *unused)
{
    int status, number;
    (void)unused;
    if (native_finalizing == NULL) {
        return RT_OK; /* it never came to Python */
    }
    PyEval_RestoreThread(native_finalizing);
    /* Its thread has a state, and would be taken for one that may come back. */
    native_end_narration();
    if (!can_be_finalized()) {
        forget_interruption(end_engine("leave"));
        PyEval_SaveThread();
        return RT_OK;
    }
    number = end_engine("finish");
    native_forget_modules();
    gone = life;
    rt_may_wait(native_runtime);
    status = finalize_python(number);
    forget_interruption(number);
    pthread_mutex_lock(&lives);
    state = ENDED;
    pthread_mutex_unlock(&lives);
    return status;
}

static int32_t on_event(const rt_event *event, void *arg)
{
    int32_t answer = host_on_event == NULL ? 0 : host_on_event(event, host_event_arg);
    if (event->kind != RT_EVENT_OVERRUN) {
        return answer;
    }
    if (event->subject == RT_SUBJECT_GUARD) {
        has_open_guards = 1;
    }
    if (makes_engine) {
        native_bounds.ran_out = 1;
        return RT_OVERRUN_SKIP; /* whatever the answer: without it no bytes can be written before the process ends */
    }
    if (event->phase == RT_PHASE_FINALIZE && event->subject == RT_SUBJECT_CALLBACK && answer == 0) {
        native_bounds.ran_out = 1;
        if (native_bounds.interrupted != event->since_us + 1 || !native_bounds.ends_process) {
            native_bounds.interrupted = event->since_us + 1;
            native_send_interrupt();
            return RT_OVERRUN_SKIP;
        }
    }
    return answer != 0 ? answer : native_on_event(event, arg);
}

static rt_status add_handlers(void)
{
    rt_handler_options first = {.struct_size = sizeof first, .order = -1, .work = RT_WORK_BRIEF};
    rt_handler_options last = {.struct_size = sizeof last, .work = RT_WORK_BRIEF};
    rt_status status = rt_phase_add_handler_ex(native_runtime, RT_PHASE_GUARDS, "come to Python", &first, make_ready,
                                               NULL, NULL);
    if (status >= 0) {
        status = native_add_steps();
    }
    if (status >= 0) {
        status = rt_phase_add_handler_ex(native_runtime, RT_PHASE_FINALIZE, "Py_FinalizeEx", &last, end_python, NULL,
                                         NULL);
    }
    return status;
}

/* ---- for the host ---- */

/* What a finalization of this life goes by, wherever it is begun. */
static rt_status set_options(const rt_finalize_options *given)
{
    rt_finalize_options options = {.struct_size = sizeof options};
    if (given != NULL) {
        size_t size = given->struct_size < sizeof options ? given->struct_size : sizeof options;
        rt_status status = rt_runtime_set_options(native_runtime, given);
        if (status < 0) {
            return status;
        }
        memcpy(&options, given, size);
        options.struct_size = sizeof options;
    }
    host_on_event = options.on_event;
    host_event_arg = options.event_arg;
    native_bounds.ends_process = options.overrun == RT_OVERRUN_EXIT;
    options.on_event = on_event;
    options.event_arg = NULL;
    return rt_runtime_set_options(native_runtime, &options);
}

/* A runtime for the next life, without Python in it. */
static rt_status new_runtime(void)
{
    rt_runtime_options options = {.struct_size = sizeof options, .name = native_name};
    rt_view *of_life;
    rt_status status;
    if (native_runtime != NULL) {
        rt_runtime_free(native_runtime);
        native_runtime = NULL;
    }
    status = rt_runtime_new_child(NULL, &options, &native_runtime);
    if (status < 0) {
        return status;
    }
    status = add_handlers();
    if (status >= 0) {
        status = set_options(NULL);
    }
    if (status >= 0) {
        status = rt_view_from(native_runtime, &of_life);
    }
    if (status < 0) {
        rt_finalize(native_runtime, NULL, NULL);
        return status;
    }
    rt_view_close(atomic_load_explicit(&view, memory_order_relaxed));
    atomic_store_explicit(&view, of_life, memory_order_release);
    return RT_OK;
}

static PyStatus initialize(const PyConfig *given)
{
    PyConfig config;
    PyStatus status;
    if (given != NULL) {
        return Py_InitializeFromConfig(given);
    }
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

static PyStatus start(const PyConfig *config)
{
    PyStatus status;
    if (rt_version() != RT_VERSION_NUMBER) {
        return PyStatus_Error("rtfinalize: the library is not of the version of its header");
    }
    if (state == LIVES) {
        return PyStatus_Error("rtpy_start: Python was started already");
    }
    if (not_again[0] != 0) {
        return PyStatus_Error(not_again);
    }
    if (Py_IsInitialized() && config != NULL) {
        return PyStatus_Error("rtpy_start: Python runs already; without a configuration it is taken over");
    }
    if (!Py_IsInitialized()) {
        status = initialize(config);
        if (PyStatus_Exception(status)) {
            return status;
        }
    }
    life++;
    has_open_guards = 0;
    native_bounds.ran_out = 0;
    if (new_runtime() < 0) {
        return PyStatus_Error(rt_last_error());
    }
    native_keep_modules();
    state = LIVES;
    return PyStatus_Ok();
}

#ifdef __GNUC__
#pragma GCC visibility pop
#pragma GCC visibility push(default)
#endif

PyStatus rtpy_start(const PyConfig *config)
{
    PyStatus status;
    pthread_mutex_lock(&lives);
    status = start(config);
    pthread_mutex_unlock(&lives);
    return status;
}

rt_status rtpy_ensure(const char *name, rtpy_guard *guard)
{
    rt_view *of_life = atomic_load_explicit(&view, memory_order_acquire);
    rt_status status;
    if (guard == NULL) {
        return RT_ERR_NULL;
    }
    guard->rt_guard = NULL;
    if (of_life == NULL) {
        return RT_ERR_FINALIZING;
    }
    status = rt_guard_acquire(of_life, name, &guard->rt_guard);
    if (status == RT_ERR_FINALIZING && has_lock()) {
        return RT_OK; /* it is in Python already: there is nothing to take, and nothing to release */
    }
    if (status < 0) {
        /* The view was closed meanwhile: there is another life, which this call did not mean. */
        return status == RT_ERR_HANDLE ? RT_ERR_FINALIZING : status;
    }
    guard->rt_life = life;
    guard->rt_state = PyGILState_Ensure();
    return RT_OK;
}

void rtpy_release(rtpy_guard *guard)
{
    rt_guard *of = guard == NULL ? NULL : guard->rt_guard;
    if (of == NULL) {
        return;
    }
    guard->rt_guard = NULL;
    if (guard->rt_life != gone) {
        PyGILState_Release(guard->rt_state);
    }
    rt_guard_release(of);
}

rt_status rtpy_finalize(const rt_finalize_options *options, rt_report **report)
{
    rt_report_summary summary = {.struct_size = sizeof summary};
    rt_report *own = NULL;
    rt_status status;
    if (report != NULL) {
        *report = NULL;
    }
    if (native_runtime == NULL) {
        return RT_ERR_STATE;
    }
    if (Py_IsInitialized() && has_lock_of_subinterpreter()) {
        return RT_ERR_STATE;
    }
    if (is_called_by_python()) {
        return RT_ERR_IN_CALLBACK;
    }
    status = rt_runtime_state(native_runtime) == RT_STATE_RUNNING ? set_options(options) : RT_OK;
    if (status < 0) {
        return status;
    }
    is_reported = report != NULL || getenv("RTFINALIZE_REPORT") != NULL;
    caller = Py_IsInitialized() && has_lock() ? PyEval_SaveThread() : NULL;
    status = rt_finalize(native_runtime, NULL, &own);
    if (caller != NULL && rt_runtime_state(native_runtime) == RT_STATE_RUNNING) {
        PyEval_RestoreThread(caller); /* it was refused */
    }
    caller = NULL;
    if (own == NULL) {
        return status;
    }
    rt_report_get_summary(own, &summary);
    pthread_mutex_lock(&lives);
    if (!summary.restartable && not_again[0] == 0) {
        snprintf(not_again, sizeof not_again, "Python cannot be started again: the report of its end says why");
    }
    if (status == RT_OK && state == LEFT_ALONE) {
        status = RT_LEAKED;
    }
    pthread_mutex_unlock(&lives);
    if (report != NULL) {
        *report = own;
    }
    else {
        rt_report_free(own);
    }
    return status;
}

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
