/*
 * Threads that come too late, and their states.
 *
 * Until 3.13.7 CPython ends such a thread with pthread_exit, after it has freed the thread's state although the
 * thread may be anywhere (bpo-20526); since then it hangs there, because the exit unwinds C++ frames that must
 * not be unwound (gh-87135). Here it does what its release does, or what it is told; but first the thread says
 * that it will never run again, and only then its state may go.
 */
#include "Python.h"
#include "pycore_brc.h"
#include "pycore_frame.h"
#include "pycore_interp.h"
#include "pycore_lock.h"
#include "pycore_parking_lot.h"
#include "pycore_pystate.h"
#include "pycore_runtime.h"
#include "adapter.h"

uint32_t _PyRt_Life;
_Py_thread_local _PyRt_Mutex *_PyRt_Mutexes;

_Py_thread_local uint32_t _PyRt_Finalizes;
int _PyRt_LateThreadsEnd;

/* Whether the calling thread finalizes this life. */
static int is_finalizer(void)
{
    return _PyRt_Finalizes == _PyRt_Life + 1;
}

void _Py_NO_RETURN _PyRt_Park(PyThreadState *tstate)
{
    /* Nobody else would ever unlock them. And one that this thread was only woken for has forgotten who
     * waits behind it: that is said by unlocking it once more. */
    for (_PyRt_Mutex *held = _PyRt_Mutexes; held != NULL; held = held->outer) {
        if (*held->is_mine || _PyMutex_LockTimed(held->mutex, 0, _Py_LOCK_DONT_DETACH) == PY_LOCK_ACQUIRED) {
            PyMutex_Unlock(held->mutex);
        }
    }
    if (tstate != NULL) {
        /* Release: nothing of the state is touched by this thread any more. */
        _Py_atomic_store_int_release(&((_PyThreadStateImpl *)tstate)->rt_parked, 1);
    }
    if (_PyRt_LateThreadsEnd) {
        PyThread_exit_thread();
    }
    _PyRt_Parks();
    rt_thread_park();
    Py_UNREACHABLE();
}

int _PyRt_AdmitsThreadState(void)
{
    return !_PyRt_IsFrozen() || is_finalizer();
}

void _PyRt_Admit(PyInterpreterState *interp)
{
    if (_PyRt_AdmitsThreadState() && interp != NULL) {
        return;
    }
    if (is_finalizer() || (rt_state_inline() == RT_STATE_FINALIZED && _PyRt_Finalizes == _PyRt_Life)) {
        /* Parked, this thread would keep the process from its end. */
        Py_FatalError("PyGILState_Ensure() was called by the thread that finalized Python, after it had "
                      "done so; check Py_IsInitialized() first");
    }
    _PyRt_Park(NULL);
}

/* A module that is imported already, with a reference: nothing is imported this late. */
static PyObject *loaded(const char *name)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *module = key == NULL ? NULL : PyImport_GetModule(key);
    Py_XDECREF(key);
    return module;
}

/* The thread's Python name, with a reference; NULL if it has none. */
static PyObject *name_of(unsigned long ident)
{
    PyObject *name = NULL;
    PyObject *threading = loaded("threading");
    PyObject *active = threading == NULL ? NULL : PyObject_GetAttrString(threading, "_active");
    PyObject *key = PyLong_FromUnsignedLong(ident);
    if (active != NULL && key != NULL && PyDict_Check(active)) {
        PyObject *thread = NULL;
        (void)PyDict_GetItemRef(active, key, &thread);
        /* Not the property: that is Python code, which may do anything. */
        name = thread == NULL ? NULL : PyObject_GetAttrString(thread, "_name");
        Py_XDECREF(thread);
    }
    Py_XDECREF(key);
    Py_XDECREF(active);
    Py_XDECREF(threading);
    return name;
}

static PyThreadState *state_of(unsigned long ident)
{
    PyThreadState *found = NULL;
    _PyRuntimeState *runtime = &_PyRuntime;
    HEAD_LOCK(runtime);
    for (PyThreadState *p = _PyInterpreterState_GET()->threads.head; p != NULL; p = p->next) {
        if (p->thread_id == ident) {
            found = p;
        }
    }
    HEAD_UNLOCK(runtime);
    return found;
}

/* `kept` is the thread's state if it is in no list any more. */
static char *describe(PyThreadState *kept, unsigned long ident)
{
    PyInterpreterState *interp = _PyInterpreterState_GET();
    PyObject *raised = PyErr_GetRaisedException();
    PyCodeObject *code = NULL;
    int line = 0;
    /* While this thread has the interpreter's lock the other one's frames stand still; without a GIL,
     * while the world does. */
    _PyEval_StopTheWorld(interp);
    PyThreadState *tstate = kept != NULL ? kept : state_of(ident);
    _PyInterpreterFrame *frame = tstate == NULL ? NULL : _PyThreadState_GetFrame(tstate);
    if (frame != NULL) {
        code = (PyCodeObject *)Py_NewRef(_PyFrame_GetCode(frame));
        line = PyUnstable_InterpreterFrame_GetLine(frame);
    }
    _PyEval_StartTheWorld(interp);
    PyObject *name = name_of(ident);
    PyObject *text = name == NULL ? PyUnicode_FromFormat("thread %lu", ident)
                                  : PyUnicode_FromFormat("thread '%U'", name);
    if (code != NULL && text != NULL) {
        Py_SETREF(text, PyUnicode_FromFormat("%U, in %U (%U:%d)", text, code->co_qualname,
                                             code->co_filename, line));
    }
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    char *copy = utf8 == NULL ? NULL : _PyMem_RawStrdup(utf8);
    Py_XDECREF(text);
    Py_XDECREF(name);
    Py_XDECREF(code);
    PyErr_SetRaisedException(raised);
    return copy;
}

char *_PyRt_DescribeThread(unsigned long ident)
{
    return describe(NULL, ident);
}

PyObject *_PyRt_NameCaller(void)
{
    /* The library keeps 32 bytes of it. */
    PyThreadState *tstate = _PyThreadState_GET();
    _PyInterpreterFrame *frame = _PyThreadState_GetFrame(tstate);
    PyObject *name = name_of(tstate->thread_id);
    PyObject *text = NULL;
    PyErr_Clear();
    if (frame != NULL) {
        PyObject *function = _PyFrame_GetCode(frame)->co_qualname;
        text = name == NULL ? Py_NewRef(function) : PyUnicode_FromFormat("%.14U, in %U", name, function);
    }
    else {
        text = Py_XNewRef(name);
    }
    Py_XDECREF(name);
    PyErr_Clear();
    return text;
}

/* ---- where the finalizing thread is, told from beside it ---- */

/* No libc: this runs on a thread that has neither heap nor thread-locals. */
typedef struct {
    char *at, *end;
} rt_text_out;

static void put(rt_text_out *out, const char *text)
{
    while (*text != 0 && out->at < out->end) {
        *out->at++ = *text++;
    }
}

static void put_unicode(rt_text_out *out, PyObject *text)
{
    Py_ssize_t length = PyUnicode_Check(text) ? PyUnicode_GET_LENGTH(text) : 0;
    for (Py_ssize_t i = 0; i < length && out->at < out->end; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
        *out->at++ = c < 0x80 ? (char)c : '?';
    }
}

static void put_number(rt_text_out *out, int number)
{
    char digits[12], *at = digits + sizeof(digits) - 1;
    *at = 0;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(out, at);
}

static PyThreadState *finalizing_thread;

/* As faulthandler does it, without any lock: the thread is stuck, most often. */
static size_t describe_finalizing_thread(char *text, size_t size)
{
    rt_text_out out = {text, text + size};
    PyThreadState *tstate = _Py_atomic_load_ptr_relaxed(&finalizing_thread);
    _PyInterpreterFrame *frame = tstate == NULL ? NULL : tstate->current_frame;
    for (int depth = 0; frame != NULL && depth < 4; frame = frame->previous) {
        if (frame->owner == FRAME_OWNED_BY_CSTACK || frame->f_executable == NULL
            || !PyCode_Check(frame->f_executable)) {
            continue;
        }
        PyCodeObject *code = (PyCodeObject *)frame->f_executable;
        int line = PyCode_Addr2Line(code, _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT));
        put(&out, depth == 0 ? "in " : ", called by ");
        put_unicode(&out, code->co_qualname);
        put(&out, " (");
        put_unicode(&out, code->co_filename);
        put(&out, ":");
        put_number(&out, line < 0 ? 0 : line);
        put(&out, ")");
        depth++;
    }
    return (size_t)(out.at - text);
}

void _PyRt_DescribeFinalizer(PyThreadState *tstate)
{
    _Py_atomic_store_ptr_relaxed(&finalizing_thread, tstate);
    rt_describe_work(NULL, tstate == NULL ? NULL : describe_finalizing_thread);
}

static void keep(PyThreadState *tstate)
{
    char *name = describe(tstate, tstate->thread_id);
#ifdef Py_GIL_DISABLED
    /* Its thread will count no references any more: whoever drops the last one deletes the object. */
    _Py_brc_remove_thread(tstate);
#endif
    _PyRt_StillInside(tstate);
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_THREAD_STATE};
    leak.name = name != NULL ? name : "a thread";
    leak.reason = "the thread is outside Python and may still look at it";
    rt_note_leak(NULL, &leak);
    PyMem_RawFree(name);
    /* Its thread-local values go as they do at a thread's end: no Python code of it runs any more, and
     * what native code of it works on is referred to by its frames, which stay. */
    Py_CLEAR(tstate->threading_local_key);
    Py_CLEAR(tstate->threading_local_sentinel);
    Py_CLEAR(tstate->dict);
}

static int will_park(PyThreadState *tstate)
{
    _PyThreadStateImpl *impl = (_PyThreadStateImpl *)tstate;
    return _Py_atomic_load_int_relaxed(&impl->rt_waits) && !_Py_atomic_load_int_acquire(&impl->rt_parked);
}

static void let_threads_park(PyThreadState *list)
{
#ifdef Py_GIL_DISABLED
    /* They wait for the world to start, which only does so for those that are in the list. */
    for (PyThreadState *p = list; p != NULL; p = p->next) {
        _Py_atomic_store_int(&p->state, _PyRt_THREAD_LATE);
        _PyParkingLot_UnparkAll(&p->state);
    }
#endif
    /* One that waits for the GIL looks up every switch interval, 5 ms. */
    int turns = 100;
    for (PyThreadState *p = list; p != NULL; p = p->next) {
        for (; will_park(p) && turns > 0; turns--) {
            struct timespec millisecond = {.tv_nsec = 1000 * 1000};
            nanosleep(&millisecond, NULL);
        }
    }
}

int _PyRt_DeleteThreadStates(PyThreadState *list)
{
    int kept = 0;
    let_threads_park(list);
    PyThreadState *next, *parked = NULL;
    for (PyThreadState *p = list; p != NULL; p = next) {
        next = p->next;
        p->next = p->prev = NULL;
        /* Acquire: pairs with the thread's last store to its state. */
        if (_Py_atomic_load_int_acquire(&((_PyThreadStateImpl *)p)->rt_parked)) {
            p->next = parked;
            parked = p;
        }
        else {
            keep(p);
            kept++;
        }
    }
    _PyThreadState_DeleteList(parked);
    return kept;
}
