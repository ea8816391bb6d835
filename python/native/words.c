/*
 * What a callback is doing.
 *
 * The watch asks for a text on a thread that has neither the interpreter's lock nor a heap, and only Python can say
 * which function of which file runs. So the engine says it beforehand, from time to time, on a thread that begins where
 * something may take long. An odd version is a text that is being written.
 */
#include "native.h"

static char said[1024];
static atomic_uint said_version;
static atomic_int is_past;    /* what is said is about something that is over */
static atomic_int wants_lock; /* the narrator waits for the interpreter's lock, perhaps in vain */

static void say(const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);
    if (length >= sizeof said) {
        length = sizeof said - 1;
    }
    atomic_fetch_add(&said_version, 1);
    memcpy(said, text, length);
    said[length] = 0;
    atomic_fetch_add(&said_version, 1);
    is_past = 0;
}

size_t native_describe(char *text, size_t size)
{
    static const char keeps[] = "in native code that keeps the interpreter's lock";
    unsigned before = atomic_load(&said_version);
    size_t length = strnlen(said, sizeof said);
    if (length > size) {
        length = size;
    }
    memcpy(text, said, length);
    if (is_past || before % 2 != 0 || atomic_load(&said_version) != before) {
        length = 0;
    }
    if (length == 0 && wants_lock && sizeof keeps - 1 <= size) {
        length = sizeof keeps - 1;
        memcpy(text, keeps, length);
    }
    return length;
}

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    int is_set_up, is_over, is_asked, runs;
    double first, then; /* seconds */
} narrator = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The narrator's thread state is one for all its life. Without the interpreter's lock a state that goes may be the very one
 * that another thread looks at as it goes through them all. */
static struct {
    PyGILState_STATE ensured;
    PyThreadState *thread;
} narrating;

static void narrate_once(void)
{
    PyObject *text;
    wants_lock = 1;
    if (narrating.thread == NULL) {
        narrating.ensured = PyGILState_Ensure();
    }
    else {
        PyEval_RestoreThread(narrating.thread);
    }
    wants_lock = 0;
    text = PyObject_CallMethod(native_engine, "describe", NULL);
    if (text != NULL && PyUnicode_Check(text)) {
        PyObject *utf8 = PyUnicode_AsEncodedString(text, "utf-8", "replace");
        if (utf8 != NULL) {
            say(PyBytes_AsString(utf8));
        }
        Py_XDECREF(utf8);
    }
    Py_XDECREF(text);
    PyErr_Clear();
    narrating.thread = PyEval_SaveThread();
}

static void *end_narrating(void)
{
    if (narrating.thread != NULL) {
        PyEval_RestoreThread(narrating.thread);
        PyGILState_Release(narrating.ensured);
        narrating.thread = NULL;
    }
    return NULL;
}

/* Until something that begins has come to what takes long, in seconds. */
#define A_MOMENT 0.02

static void *narrate(void *unused)
{
    double pause = narrator.first;
    (void)unused;
    native_go_on();
    for (;;) {
        struct timespec until = native_time_in(pause);
        int error = 0, is_over, is_asked;
        pthread_mutex_lock(&narrator.mutex);
        while (!narrator.is_over && !narrator.is_asked && error == 0) {
            error = pthread_cond_timedwait(&narrator.wake, &narrator.mutex, &until);
        }
        is_asked = narrator.is_asked;
        narrator.is_asked = 0;
        is_over = narrator.is_over;
        pthread_mutex_unlock(&narrator.mutex);
        if (is_over) {
            return end_narrating();
        }
        if (is_asked) {
            pause = A_MOMENT;
            continue;
        }
        narrate_once();
        pause = narrator.then;
    }
}

static PyObject *narrate_after(PyObject *module, PyObject *args)
{
    (void)module;
    if (!PyArg_ParseTuple(args, "dd:narrate_after", &narrator.first, &narrator.then)) {
        return NULL;
    }
    if (!narrator.is_set_up) {
        native_init_condition(&narrator.wake);
        narrator.is_set_up = 1;
    }
    if (!narrator.runs) {
        narrator.is_over = 0;
        narrator.runs = pthread_create(&narrator.thread, NULL, narrate, NULL) == 0;
    }
    Py_RETURN_NONE;
}

void native_end_narration(void)
{
    if (!narrator.runs) {
        return;
    }
    pthread_mutex_lock(&narrator.mutex);
    narrator.is_over = 1;
    pthread_cond_signal(&narrator.wake);
    pthread_mutex_unlock(&narrator.mutex);
    /* It may just be asking the engine. */
    Py_BEGIN_ALLOW_THREADS
    pthread_join(narrator.thread, NULL);
    Py_END_ALLOW_THREADS
    narrator.runs = 0;
    narrating.thread = NULL; /* a forked child has no such thread, whose state is gone */
    say(NULL);
}

/* Something takes long now, and is watched. What was said is about something else; if there is a narrator it says in
 * a moment what this is. */
static PyObject *may_wait(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    is_past = 1;
    pthread_mutex_lock(&narrator.mutex);
    if (narrator.runs) {
        narrator.is_asked = 1;
        pthread_cond_signal(&narrator.wake);
    }
    pthread_mutex_unlock(&narrator.mutex);
    rt_may_wait(native_runtime);
    Py_RETURN_NONE;
}

PyMethodDef native_word_methods[] = {
    {"narrate_after", narrate_after, METH_VARARGS, "Ask the engine what it does after, and then every, so many seconds."},
    {"may_wait", may_wait, METH_NOARGS, "What follows may take long, and is watched."},
    {NULL, NULL, 0, NULL},
};
