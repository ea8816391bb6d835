/* What takes longer than it may. */
#include "native.h"

struct native_bounds native_bounds;

/* Held while a signal is sent, so that none is sent after the finalizing thread has seen to it. */
static pthread_mutex_t interrupting = PTHREAD_MUTEX_INITIALIZER;

void native_bound_this_thread(void)
{
    native_bounds.finalizer = pthread_self();
    native_bounds.finalizer_ident = PyThread_get_thread_ident();
    native_bounds.interrupted = 0;
}

void native_interrupt_by(int number)
{
    pthread_mutex_lock(&interrupting);
    native_bounds.interrupts_by = number;
    pthread_mutex_unlock(&interrupting);
    /* One that was sent before arrives by the end of a system call, and finds the handler that it was meant for. */
    pthread_sigmask(SIG_BLOCK, NULL, NULL);
}

/* Where no signal does it, as the thread is not Python's main thread or the program has no handler: what runs in
 * Python gets an exception, but what waits does not notice. */
static PyObject *raise_in_finalizer(PyObject *unused)
{
    (void)unused;
    PyThreadState_SetAsyncExc(native_bounds.finalizer_ident, PyExc_KeyboardInterrupt);
    return Py_NewRef(Py_None);
}

int native_send_interrupt(void)
{
    struct sigaction action;
    int number, is_sent = 0;
    pthread_mutex_lock(&interrupting);
    number = native_bounds.interrupts_by;
    if (number != 0 && sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL
        && action.sa_handler != SIG_IGN) {
        is_sent = pthread_kill(native_bounds.finalizer, number) == 0;
    }
    pthread_mutex_unlock(&interrupting);
    return is_sent;
}

/* Python code that takes longer than it may is interrupted, as by Ctrl-C; what does not heed that is the end of the
 * process, where that is wanted. Called on a thread of the library's, while the finalizing thread is inside the
 * callback. */
static void interrupt(void)
{
    if (!native_send_interrupt()) {
        native_call_within(raise_in_finalizer, 0.2);
    }
}

static PyObject *say_what_is_cut_short(PyObject *unused)
{
    (void)unused;
    if (native_engine == NULL) {
        return Py_NewRef(Py_None); /* it comes only now */
    }
    return PyObject_CallMethod(native_engine, "say_what_is_cut_short", NULL);
}

static PyObject *rescue_files(PyObject *unused)
{
    (void)unused;
    if (native_engine == NULL) {
        return Py_NewRef(Py_None);
    }
    return PyObject_CallMethod(native_engine, "rescue_files", NULL);
}

/* The process ends in a moment, and the finalizing thread is stuck. */
static void rescue_within(double seconds)
{
    char line[128];
    if (!native_call_within(rescue_files, seconds)) {
        snprintf(line, sizeof line, "'%s': Python's files could not be flushed: the interpreter's lock is kept",
                 native_name);
        rt_tell(line);
    }
}

int32_t native_on_event(const rt_event *event, void *arg)
{
    (void)arg;
    if (event->kind != RT_EVENT_OVERRUN) {
        return 0;
    }
    if (event->subject != RT_SUBJECT_CALLBACK && event->subject != RT_SUBJECT_RUNTIME) {
        return RT_OVERRUN_SKIP; /* the library's own wait just ends */
    }
    native_bounds.ran_out = 1;
    if (event->phase < RT_PHASE_FREEZE
        && (native_bounds.interrupted != event->since_us + 1 || !native_bounds.ends_process)) {
        if (native_bounds.interrupted != event->since_us + 1) {
            /* Of what keeps the lock the last line speaks, which needs no lock. */
            native_call_within(say_what_is_cut_short, 0.2);
        }
        native_bounds.interrupted = event->since_us + 1;
        interrupt();
        return RT_OVERRUN_SKIP;
    }
    if (!native_bounds.ends_process) {
        return RT_OVERRUN_SKIP;
    }
    if (event->phase < RT_PHASE_FINALIZE) {
        rescue_within(0.5); /* later no thread comes to Python any more */
    }
    return RT_OVERRUN_EXIT;
}
