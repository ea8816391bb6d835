/*
 * rtfinalize._native: what the package's engine cannot say in Python.
 *
 * The phases, the watch, the bounds and the report are the library's; what a phase does with Python's threads,
 * callbacks and files is the engine's (rtfinalize/_engine.py), which these functions call with the interpreter's lock.
 * Here are the steps between the two, one concept a file; each has a table of what Python sees of it.
 *
 * All of it is the stable ABI of Python 3.9, but for a few functions that are looked up as they are needed: they exist
 * in some releases only, or are not part of the stable ABI.
 */
#ifndef RTFINALIZE_NATIVE_H
#define RTFINALIZE_NATIVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#define PY_SSIZE_T_CLEAN
#include <pyconfig.h>
/* A Python without the lock has no stable ABI before 3.15; and a host is compiled for its own Python. */
#if !defined(Py_GIL_DISABLED) && !defined(RTPY_HOST)
#define Py_LIMITED_API 0x03090000
#endif
#include <Python.h>

#include "rtfinalize.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x030A0000
static inline PyObject *Py_NewRef(PyObject *object)
{
    Py_INCREF(object);
    return object;
}
#endif

/* The headers of 3.12 and 3.13 hold these for immortal, also where the module shall run on an older Python. */
#undef Py_RETURN_NONE
#undef Py_RETURN_TRUE
#undef Py_RETURN_FALSE
#define Py_RETURN_NONE return Py_NewRef(Py_None)
#define Py_RETURN_TRUE return Py_NewRef(Py_True)
#define Py_RETURN_FALSE return Py_NewRef(Py_False)

/* None, or what the library has against it as an exception. */
static inline PyObject *native_checked(rt_status status)
{
    if (status < 0) {
        PyErr_SetString(PyExc_ValueError, rt_last_error());
        return NULL;
    }
    Py_RETURN_NONE;
}

#ifdef __GNUC__
/* Nothing of this is for anybody else in the process. */
#pragma GCC visibility push(hidden)
#endif

/* ---- threads.c ---- */

/* The calling thread is one that the finalization needs: it is never stopped. */
void native_go_on(void);

/* A thread, by Python's number of it, will never run again. */
void native_note_stopped(unsigned long ident);

/* ---- clock.c ---- */

/* As the module is loaded, and whenever the calling thread may be the main one. */
void native_note_main_thread(void);

/* ---- signals.c ---- */

/* From here on no handler of the program's is called. Whether that is so by this call. */
int native_hold_signals(void);

/* They are called again, and perhaps also for what has come meanwhile. What has been raised stays raised. */
void native_release_signals(int hands_on);

/* Stops every other thread of the current interpreter at its next call or return; whether that is possible. */
int native_stop_other_threads(void);

/* Finds a function of Python's that is not in the stable ABI. */
int native_look_up(const char *name, void *function);

/* ---- imports.c ---- */

/* Whoever embeds Python keeps what its end needs while it lives. */
void native_keep_modules(void);
void native_forget_modules(void);

/* One of Python's own modules, as it was kept, or as it is. A new reference. */
PyObject *native_import(const char *name);

/* A new dictionary. */
PyObject *native_kept_builtins(void);

/* ---- errand.c ---- */

/* A condition whose times are those of `native_time_in`. */
void native_init_condition(pthread_cond_t *condition);
struct timespec native_time_in(double seconds);
struct timespec native_later(struct timespec at, double seconds);

struct errand;

/* A call that another thread makes, with the interpreter's lock. NULL if there is no memory. `call` may be NULL. */
struct errand *native_new_errand(PyObject *(*run)(PyObject *), PyObject *call);

/* The call is made in a subinterpreter. What it leaves behind belongs to none. */
void native_send_into(struct errand *errand, PyInterpreterState *interpreter);

/* Whether it is done in time; -1 if no thread could be started. One that is not in time frees itself. Without the
 * interpreter's lock. */
int native_run_within(struct errand *errand, double seconds);
void native_free_errand(struct errand *errand);

/* A call that needs the interpreter's lock, which the finalizing thread may keep: another thread makes it, and is waited
 * for so long. Whether it was made. Without the lock. */
int native_call_within(PyObject *(*run)(PyObject *), double seconds);

/* ---- dump.c ---- */

/* No dump comes to Python any more, unless one waits for native code that keeps the interpreter's lock. With that
 * lock, of which it lets go meanwhile. */
void native_stop_dumps(void);

/* ---- looks.c ---- */

/* Reads a file that the system has about a thread: `syscall`, `status`. How many bytes that is, and a zero follows them; 0
 * if it cannot be read. */
size_t native_read_of_thread(long tid, const char *what, char *text, size_t size);

/* ---- words.c ---- */

/* For `rt_describe_work`. */
size_t native_describe(char *text, size_t size);

/* With the interpreter's lock, of which it lets go meanwhile. */
void native_end_narration(void);

/* ---- code.c ---- */

/* As the module is loaded: what follows holds for the code that the process ends by. */
void native_correct_code_at_exit(void);

/* Ends the process without Python's finalization and libc's exit handlers. C files are flushed. */
_Noreturn void native_end_process(int code);

/* Output was lost: a program that would end by 0 ends by 120. */
void native_lose_output(void);

/* The program's own exit code if that is known and not 0, else 120. */
int native_code_of_loss(void);

/* What the runtime is called in lines on stderr. */
extern const char native_name[];

/* ---- steps.c ---- */

/* The one whose phases these are; NULL is the default one. */
extern rt_runtime *native_runtime;

/* ---- beforehand.c ---- */

/* The end begins. Whether something that came before it had taken too long, and was interrupted. */
int native_end_has_begun(void);

/* Of the finalization that has begun last; else NULL. */
extern PyObject *native_engine;

/* The thread state of the finalizing thread, while that is outside of Python. */
extern PyThreadState *native_finalizing;

/* The finalization that begins goes by this engine; `shutdown` is `threading._shutdown`. */
void native_use(PyObject *engine, PyObject *shutdown);

/* Hangs the steps on the phases. */
rt_status native_add_steps(void);

/* ---- overrun.c ---- */

extern struct native_bounds {
    pthread_t finalizer;
    unsigned long finalizer_ident; /* Python's number of it */
    int interrupts_by; /* see native_interrupt_by */
    int ends_process;
    uint64_t interrupted; /* 0, or when what was interrupted had begun, plus 1 */
    atomic_int ran_out;   /* something had to be cut short for want of time */
} native_bounds;

/* The calling thread is the one that finalizes, and is interrupted. */
void native_bound_this_thread(void);

/* The signal that has Python raise KeyboardInterrupt; 0: nothing is interrupted any more, also not by what was sent
 * before. On the finalizing thread. */
void native_interrupt_by(int number);

/* Sends it; whether there is somebody who handles it. */
int native_send_interrupt(void);

/* For `rt_finalize_options.on_event`. */
int32_t native_on_event(const rt_event *event, void *arg);

/* ---- functions.c ---- */

/* A module with the functions of so many tables, beside those of its definition. */
PyObject *native_new_module(PyModuleDef *definition, PyMethodDef *const tables[], size_t count);

/* ---- what Python sees ---- */

extern PyMethodDef native_thread_methods[], native_clock_methods[], native_signal_methods[], native_object_methods[],
    native_errand_methods[], native_dump_methods[], native_word_methods[], native_code_methods[],
    native_finalize_methods[], native_guard_methods[], native_setting_methods[], native_compile_methods[],
    native_beforehand_methods[], native_subinterpreter_methods[], native_look_methods[];

#endif
