/* What takes longer than it may. */
#include "native.h"

struct native_bounds native_bounds;

/* Held while a signal is sent, so that none is sent after the finalizing thread has seen to it. */
static pthread_mutex_t interrupting = PTHREAD_MUTEX_INITIALIZER;

void native_interrupt_by(int number)
{
    pthread_mutex_lock(&interrupting);
    native_bounds.interrupts_by = number;
    pthread_mutex_unlock(&interrupting);
    /* One that was sent before arrives by the end of a system call, and finds the handler that it was meant for. */
    pthread_sigmask(SIG_BLOCK, NULL, NULL);
}

static PyObject *raise_in_finalizer(PyObject *unused)
{
    (void)unused;
    PyThreadState_SetAsyncExc(native_bounds.finalizer_ident, PyExc_KeyboardInterrupt);
    return Py_NewRef(Py_None);
}

/* Where no signal does it, as the thread is not Python's main thread or the program has no handler: what runs in
 * Python gets an exception, but what waits does not notice. */
static void raise_within(double seconds)
{
    struct errand *errand = native_new_errand(raise_in_finalizer, NULL);
    if (errand != NULL && native_run_within(errand, seconds) != 0) {
        native_free_errand(errand);
    }
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
        raise_within(0.2);
    }
}

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
    char line[128];
    if (errand == NULL) {
        return;
    }
    switch (native_run_within(errand, seconds)) {
    case 0:
        snprintf(line, sizeof line, "'%s': Python's files could not be flushed: the interpreter's lock is kept",
                 native_name);
        rt_tell(line);
        break;
    case -1:
        native_free_errand(errand);
        break;
    default: /* what it raised goes with the process */
        break;
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
