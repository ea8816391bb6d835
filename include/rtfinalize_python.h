/*
 * rtfinalize_python: an embedded CPython, stock, 3.9 to 3.15, that ends as well as it starts.
 *
 * For a host that has a Python inside and lives on when that has ended: rtpy_finalize stands in the place of
 * Py_FinalizeEx. It waits for what must be waited for, stops the other threads, writes every file that Python
 * knows, and says what became of it; and where Python cannot be finalized safely it leaves it alone. Native threads
 * come in through rtpy_ensure, which never hangs and never crashes, however late it is called.
 *
 *     rtpy_start(NULL);                              instead of Py_Initialize
 *     ... PyRun_SimpleString, PyImport_ImportModule, ...
 *     rtpy_finalize(NULL, NULL);                     instead of Py_FinalizeEx
 *
 *     rtpy_guard guard;                              on any thread, instead of PyGILState_Ensure
 *     if (rtpy_ensure("camera", &guard) == RT_OK) {
 *         ... Python ...
 *         rtpy_release(&guard);
 *     }
 *
 * It is one source file, rtfinalize_python.c, which is compiled against the headers of the Python that the host embeds,
 * and linked with the host, that Python and librtfinalize. It is C: a host in C++ compiles it with a C compiler
 * (cc -c rtfinalize_python.c) and links the object. It runs on Linux.
 *
 * Python is a runtime of its own in the library, a child of the default one with the name "python": what a host has
 * in the default runtime lives on, and finalizing that one finalizes Python too. RTFINALIZE_DEADLINE, _GRACE, _NOTICE
 * and _REPORT in the environment hold for it as for every runtime.
 *
 * If code in this Python uses the package rtfinalize, its rtfinalize.install() has no effect on the end: that is the
 * host's.
 *
 * "Thread" and "Stage" say where a function may be called; none of them may be called in a signal handler.
 */
#ifndef RTFINALIZE_PYTHON_H
#define RTFINALIZE_PYTHON_H

#include <Python.h>

#include "rtfinalize.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A thread's stay in Python: made by rtpy_ensure, wherever the host wants it, and ended by rtpy_release on the same
 * thread. The fields are the library's.
 */
typedef struct rtpy_guard {
    rt_guard *rt_guard;
    PyGILState_STATE rt_state;
    unsigned rt_life;
} rtpy_guard;

/*
 * Starts Python, and its life in the library. On return the calling thread has the interpreter's lock, as after
 * Py_Initialize.
 *
 * `config` stays the caller's. With NULL Python starts as by Py_InitializeEx(0): it reads the environment and leaves
 * signals alone. A Python that runs already, because something else has started it (pybind11, PyO3), is taken over as it
 * is, if `config` is NULL.
 *
 * After rtpy_finalize it starts Python again, if the report of that said `restartable`; if not, it says why.
 *
 * Thread: any; with the interpreter's lock if Python runs already. The thread that starts Python is its main
 * thread. Stage: while there is no Python, or one that was not started here.
 *
 * Returns a status for PyStatus_Exception. If that says that it is an error, Python was not started, and err_msg says
 * why; the text lives until the next call.
 *
 * CPython: Py_InitializeFromConfig.
 */
PyStatus rtpy_start(const PyConfig *config);

/*
 * Checks that Python runs, pins it, and takes the interpreter's lock, in one call. Until rtpy_release finalization does
 * not go on to stop threads. It may be nested, and is also for threads that have the interpreter's lock already.
 *
 * Once finalization has begun a thread that is not inside yet is refused. One that is inside may still nest. So may one
 * that has the interpreter's lock by other means, in a function that a thread of Python's calls for instance; that one
 * is not pinned, but waited for or stopped as the thread it is. The name, which may be NULL, is for the lines and the
 * report about who is waited for; it is copied, cut to 32 bytes.
 *
 * Code that waits long in there lets go of the interpreter's lock, as ever (Py_BEGIN_ALLOW_THREADS).
 *
 * Thread: any. Stage: any.
 *
 * Returns RT_OK; RT_ERR_FINALIZING if Python was never started, ends, or has ended: the thread has no lock then and
 * must not touch Python, and `guard` needs no release; RT_ERR_NULL, RT_ERR_UTF8, RT_ERR_NO_MEMORY,
 * RT_ERR_THREAD_EXITING in the same way.
 *
 * CPython: PyGILState_Ensure; from 3.15 on PyThreadState_EnsureFromView (PEP 788).
 */
rt_status rtpy_ensure(const char *name, rtpy_guard *guard);

/*
 * Ends what rtpy_ensure began; the last one begun first. If Python ended meanwhile, on this thread or because the deadline
 * passed, that is known, and nothing of Python is touched. Of a guard that is released already nothing happens.
 *
 * Thread: the one that called rtpy_ensure, with the interpreter's lock. Stage: any.
 *
 * CPython: PyGILState_Release.
 */
void rtpy_release(rtpy_guard *guard);

/*
 * Ends Python, and returns: the host lives on.
 *
 * In this order: guards are waited for, then threads that are not daemons, then exit callbacks are called; then the other
 * threads are stopped where they hold no file's lock, every file that Python knows is flushed, once and in the order in
 * which the files were opened, and Py_FinalizeEx is called. Threads are stopped for good, where they call or return in
 * Python code, or where they wait in a system call; what they hold of C libraries they keep.
 *
 * Py_FinalizeEx is not called where a thread may come back and touch what it would free: one that works in a C function
 * or waits there for what only that function knows, one that Python did not start and that is inside, or one that has
 * opened a guard and not released it when the deadline passed; nor while there are subinterpreters. Python is then left
 * alone: it stays in memory, stands in the report's ledger of leaks with the reason, and cannot be started again.
 *
 * Guards of the calling thread are not waited for; one that is open still makes the finalization incomplete, and Python
 * cannot be started again.
 *
 * With a deadline (`deadline_us`, RTFINALIZE_DEADLINE) Python code that takes longer is interrupted, by
 * KeyboardInterrupt: the wait for a thread, an exit callback, a destructor that runs. C code cannot be interrupted, nor can
 * a destructor that waits inside Py_FinalizeEx, which takes no signals any more. `overrun` says what is done then:
 * RT_OVERRUN_EXIT ends the process at the deadline, with what can be written written; anything else waits on.
 *
 * `options` may be NULL, and zero in a field is the default, as for rt_finalize. `report` may be NULL; else *report is
 * the account, also with RT_ERR_INCOMPLETE, to be freed by rt_report_free, or NULL. rt_report_format gives its text;
 * rt_report_get_summary gives its figures, `restartable` among them.
 *
 * Thread: the one that started Python, with the interpreter's lock or without. From another thread all is done too, but
 * Python is left alone as long as the main thread is somewhere in it. Stage: any; again, it does nothing and gives the
 * report again. Not in a function that Python code has called, as it could not return there, and not while
 * a subinterpreter is the thread's current one: that is refused, and the thread keeps what it has. Afterwards the thread
 * has no lock.
 *
 * Returns RT_OK; RT_LEAKED if Python was left alone and nothing was lost; RT_UNREPORTED; RT_ERR_INCOMPLETE if bytes could
 * not be written or something had to be cut short; RT_ERR_STATE if there is no Python that was started by rtpy_start,
 * or a subinterpreter is the current one; RT_ERR_IN_CALLBACK if Python code, or the finalization itself, has called the
 * function that calls this; otherwise as rt_finalize.
 *
 * CPython: Py_FinalizeEx.
 */
rt_status rtpy_finalize(const rt_finalize_options *options, rt_report **report);

#ifdef __cplusplus
} /* extern "C" */

namespace rtpy {

/*
 * A thread's stay in Python, as long as the object lives:
 *
 *     if (rtpy::Ensure python{"camera"}) {
 *         ...
 *     }
 */
class Ensure {
public:
    explicit Ensure(const char *name = nullptr) noexcept : status_(rtpy_ensure(name, &guard_)) {}
    ~Ensure()
    {
        if (status_ >= 0) {
            rtpy_release(&guard_);
        }
    }
    Ensure(const Ensure &) = delete;
    Ensure &operator=(const Ensure &) = delete;

    /* Whether the thread may touch Python. */
    explicit operator bool() const noexcept { return status_ >= 0; }

    /* What rtpy_ensure returned. */
    rt_status status() const noexcept { return status_; }

private:
    rtpy_guard guard_{};
    rt_status status_;
};

} // namespace rtpy
#endif

#endif
