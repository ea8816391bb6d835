/*
 * CPython's finalization by rtfinalize: what CPython's own files call.
 *
 * The library's default runtime stands for the Python runtime of the process: its state is read where
 * CPython asks whether it finalizes, its phases run CPython's steps (lifecycle.h), its locks are those of
 * buffered files (bufferedio.h), and it parks the threads that come too late (threads.c).
 *
 * A file with the ending .h other than this one is a part of the CPython file it is named after: it needs
 * what is static there, and is included by it.
 */
#ifndef RTFINALIZE_CPYTHON_ADAPTER_H
#define RTFINALIZE_CPYTHON_ADAPTER_H

#include "Python.h"
#include <rtfinalize.h>

/* ---- the life of the runtime ---- */

/* At the start of every life of Python, before there is an interpreter. Fails when the library that is
 * linked is not the one the header belongs to. */
PyAPI_FUNC(PyStatus) _PyRt_Begin(void);

/* Whether the point of no return is passed: only the finalizing thread still runs Python. One load. */
static inline int _PyRt_IsFrozen(void)
{
    return rt_state_inline() >= RT_STATE_FINALIZING;
}

/* ---- threads (threads.c) ---- */

/* Counts the lives of Python that have ended. A thread state of a former life belongs to a thread that
 * must not come in again, though a new life runs: each is marked with the life it was made in. */
PyAPI_DATA(uint32_t) _PyRt_Life;

/* On the thread that finalizes: the life it finalizes, counted from 1. By thread and not by identifier,
 * which the system uses again. */
PyAPI_DATA(_Py_thread_local uint32_t) _PyRt_Finalizes;

/* Whether a thread that comes too late ends, by pthread_exit in its own frame, or is parked for good:
 * RTFINALIZE_LATE_THREADS=end or park, in the environment or with -X. By default it is as in the release of
 * CPython that the adapter is in. */
PyAPI_DATA(int) _PyRt_LateThreadsEnd;
extern const int _PyRt_LateThreadsEndInRelease; /* of ceval_gil.c */

/* The calling thread comes too late: it ends or is parked, and its thread state may be deleted. */
PyAPI_FUNC(void) _Py_NO_RETURN _PyRt_Park(PyThreadState *tstate);

/* The thread waits to be let in, or does not any more: the freeze gives one that does the time to see that
 * it comes too late. */
#define _PyRt_Waits(tstate, yes) \
    _Py_atomic_store_int_relaxed(&((_PyThreadStateImpl *)(tstate))->rt_waits, (yes))

/* PyThreadState.state, without a GIL: the world stopped for the freeze and will not start again for it.
 * Another than CPython's own, which end with _Py_THREAD_SUSPENDED. */
#define _PyRt_THREAD_LATE 3

/* A mutex that this thread may have while it waits to be let in: one that is handed over to it before it
 * comes in, or one that it holds meanwhile. */
typedef struct _PyRt_Mutex {
    PyMutex *mutex;
    const int *is_mine;
    struct _PyRt_Mutex *outer;
} _PyRt_Mutex;

/* The thread's own, the last one first: unlocked when it is parked. */
PyAPI_DATA(_Py_thread_local _PyRt_Mutex *) _PyRt_Mutexes;

/* The end of a process that was Python's, after finalization, with what its files made of `code`. Returns only to
 * have libc's exit handlers run. They are left out by RTFINALIZE_END=exit, in the environment or with -X, and
 * where daemon threads still work in native code whose memory those handlers free. */
PyAPI_FUNC(void) _PyRt_End(int code);

/* A thread is about to be parked. A process of which nothing else is left ends here: its main thread has ended by
 * pthread_exit after it had finalized Python, and waits for those that never end. */
PyAPI_FUNC(void) _PyRt_Parks(void);

/* The calling thread has finalized Python, and may end before the process does. */
PyAPI_FUNC(void) _PyRt_HasFinalized(void);

/* In the child of a fork. */
PyAPI_FUNC(void) _PyRt_NobodyIsParked(void);

/* What the program was asked for, from outside: the value of -X NAME=VALUE or of the variable; NULL if neither is
 * given. To be freed with PyMem_RawFree. */
PyAPI_FUNC(char *) _PyRt_Setting(PyInterpreterState *interp, const char *name);

/* Reads the settings that are the adapter's own. */
PyAPI_FUNC(void) _PyRt_ReadSettings(PyInterpreterState *interp);

/* Python begins, and has its stderr: RTFINALIZE_DUMP_ON is a signal on which it says there what every thread does. */
PyAPI_FUNC(void) _PyRt_DumpOnSignal(PyInterpreterState *interp);

/* Called by a native thread before it asks for a thread state; does not return if it comes too late. */
PyAPI_FUNC(void) _PyRt_Admit(PyInterpreterState *interp);

/* Under the lock of the thread lists: whether a new thread state may still be entered there. */
PyAPI_FUNC(int) _PyRt_AdmitsThreadState(void);

/* Lets the threads park that are about to come in, a moment at most. Deletes the states of those that
 * were parked; keeps the others, whose threads may still look at them, and enters them in the ledger. Returns
 * how many it keeps. */
PyAPI_FUNC(int) _PyRt_DeleteThreadStates(PyThreadState *list);

/* The thread of this state has not come back to Python: it sleeps, or works in native code. */
PyAPI_FUNC(void) _PyRt_StillInside(PyThreadState *tstate);

/* Whom a report names: the thread's Python name, function and line. The text is the caller's, to be freed
 * with PyMem_RawFree; NULL without memory. */
PyAPI_FUNC(char *) _PyRt_DescribeThread(unsigned long ident);

/* Lines about what takes long say where in Python this thread is, which finalizes. NULL: nobody does. */
PyAPI_FUNC(void) _PyRt_DescribeFinalizer(PyThreadState *tstate);

/* What a guard of this thread is named: the thread's Python name and its function, as a new reference to
 * a short text; NULL without memory. Runs no Python. */
PyAPI_FUNC(PyObject *) _PyRt_NameCaller(void);

/* ---- exit callbacks (atexit.h, a part of atexitmodule.c) ---- */

/* The library is to call those that are registered by now, the last one first. As in CPython, what a callback
 * registers is not called. */
PyAPI_FUNC(void) _PyRt_HandOverExitCallbacks(PyInterpreterState *interp);

/* ---- guards and views of PEP 788 (guards.h, a part of pystate.c) ---- */

/* An interpreter's life begins; fails without memory. */
PyAPI_FUNC(int) _PyRt_OpenView(PyInterpreterState *interp);

/* The main interpreter's life is over. */
PyAPI_FUNC(void) _PyRt_CloseMainView(void);

/* ---- files (files.c) ---- */

struct _PyRt_File;

/* What a kind of files does. */
typedef struct {
    /* Whether anything is held back: 0, or one of what follows. Runs no Python, and takes no lock. */
    int (*holds)(PyObject *object);
    /* Writes what is held back, without a method that a subclass may have. Returns 1 when Python code may have
     * kept it in another file, 0, or -1 with an exception, which is the caller's to clear. */
    int (*flush)(PyObject *object);
    /* Enters what is still held back in the account. */
    void (*account)(PyObject *object);
    /* Writes what can be written without Python, the interpreter's lock and any wait. Returns how many
     * bytes stay. */
    Py_ssize_t (*rescue)(PyObject *object);
} _PyRt_FileKind;

/* A buffered file or a text file: finalization flushes each, whoever else refers to it. A program may have many:
 * this is a cache line. */
typedef struct _PyRt_File {
    struct _PyRt_File *next, *previous;
    PyObject *object; /* borrowed: it takes itself out of the list as it dies */
    PyInterpreterState *interp;
    const _PyRt_FileKind *kind;
    char *name; /* asked for when a flush failed: later the file may have none any more */
    rt_writer *late; /* takes what a destination without room does not */
    uint8_t accounted;
    uint8_t is_told; /* of its loss CPython itself has spoken */
    uint8_t loss; /* how stderr says what it lost: one of _PyRt_LOSS_... */
    /* What it holds back was the parent's when this process was forked: it is left to the file's own
     * destructor, as in CPython, until the file has been empty once. */
    uint8_t is_parents;
    /* What it holds may be for code of the program's to write: counted, and changed by _PyRt_MayNeedPython. */
    uint8_t may_need_python;
} _PyRt_File;

enum { _PyRt_LOSS_UNSAID, _PyRt_LOSS_HAS_LINE, _PyRt_LOSS_IN_SUM };

#define _PyRt_HOLDS 1
#define _PyRt_HOLDS_FOR_PYTHON 2 /* code of the program's writes it */

/* Enters the file at the end of the list, which is flushed from its beginning: `file` is filled in but for its
 * links. */
PyAPI_FUNC(void) _PyRt_FileOpened(_PyRt_File *file);
PyAPI_FUNC(void) _PyRt_FileGone(_PyRt_File *file);

/* Whether the file, which is entered, may hold what code of the program's has to write. */
PyAPI_FUNC(void) _PyRt_MayNeedPython(_PyRt_File *file, int may);

/* Whether files are flushed for the last time: the runtime is frozen, or the process is about to end. */
PyAPI_DATA(int) _PyRt_LastChance;
static inline int _PyRt_IsLastFlush(void)
{
    return _PyRt_IsFrozen() || _Py_atomic_load_int_relaxed(&_PyRt_LastChance);
}

/* Whether that is so for the files of the caller's interpreter: it may be a subinterpreter, whose threads
 * have ended while others run. Bytes that are not written now never are. */
PyAPI_FUNC(int) _PyRt_IsEnding(void);

/* Rescues what all files hold, from a thread that need not be one of Python's. Returns how many bytes stay. */
PyAPI_FUNC(size_t) _PyRt_RescueFiles(void);

/* How many bytes the descriptor takes without waiting, of `len`; 0 when it may have to wait. */
PyAPI_FUNC(Py_ssize_t) _PyRt_RoomAt(int fd, Py_ssize_t len);

/* Flushes the files of the caller's interpreter that hold something, in the order in which they were opened.
 * Before its point of no return only those whose bytes need Python; and while other threads run, none whose
 * lock is held. What could not be flushed is seen by the bytes that stay. */
PyAPI_FUNC(void) _PyRt_FlushFiles(PyInterpreterState *interp);

/* Enters what files still hold back in the account: it will not be written any more. */
PyAPI_FUNC(void) _PyRt_AccountForFiles(PyInterpreterState *interp);

/* The interpreter ends. A file of it that something still refers to is no other's, though the next one may
 * have the same address. */
PyAPI_FUNC(void) _PyRt_ForgetFiles(PyInterpreterState *interp);

/* Counts the forks above this process: what a thread had begun before is the parent's. */
PyAPI_DATA(uint32_t) _PyRt_Forks;

/* In the child, before any file is used. */
PyAPI_FUNC(void) _PyRt_AfterFork(void);

/* The process ends after the finalization that comes. */
PyAPI_FUNC(void) _PyRt_EndsSoon(void);

/* Whether files are flushed for the last time and there is a time by which that must be done. Else a write waits
 * for its reader, as in CPython. */
PyAPI_FUNC(int) _PyRt_MustNotWait(void);

/* The finalization that is under way has to be done by some time. */
PyAPI_DATA(int) _PyRt_HasDeadline;

/* Writes to the descriptor of `raw` from the finalizing thread without ever waiting for room: what does
 * not fit is left to the library, which has a grace for it. Returns how many bytes were taken, or -1 with
 * an exception. */
PyAPI_FUNC(Py_ssize_t) _PyRt_WriteLate(_PyRt_File *file, PyObject *raw, const char *data, Py_ssize_t len);

/* For a write of a subinterpreter that ends while others run. It may wait for room as any write does, unless
 * there is a deadline: then this waits instead, as long as that allows. Returns how many of `len` bytes can
 * be written now, or -1 with an exception. */
PyAPI_FUNC(Py_ssize_t) _PyRt_AwaitRoom(PyObject *raw, Py_ssize_t len);

/* Closes what _PyRt_WriteLate opened. After finalization. */
PyAPI_FUNC(void) _PyRt_CloseLateWriters(void);

/* How long this thread waits for a file's lock, in microseconds; negative is as long as it takes. */
PyAPI_FUNC(int64_t) _PyRt_Patience(void);

/* Sets it, and returns what it was. */
PyAPI_FUNC(int64_t) _PyRt_SetPatience(int64_t patience_us);

/* A line on stderr, if that is what descriptor 2 still is. */
PyAPI_FUNC(void) _PyRt_Say(const char *format, ...);

/* A flush failed: what the file is called is asked for now. */
PyAPI_FUNC(void) _PyRt_KeepName(_PyRt_File *file);

/* Enters what a file loses in the account, and says so on stderr: the first files have a line each. `buffer` is the
 * one below a text file, if it is one of CPython's own. */
PyAPI_FUNC(void) _PyRt_NoteLost(_PyRt_File *file, _PyRt_File *buffer, rt_report_destination *lost);

/* The line about the files that had none: at the end of an interpreter. Any thread may call it; it does not wait. */
PyAPI_FUNC(void) _PyRt_SayOtherLosses(void);

/* The loss of a file that CPython itself speaks of, as it does of sys.stdout, needs no other line. */
PyAPI_FUNC(void) _PyRt_IsTold(PyObject *file);

/* What the process ends with: `code` is the program's. When bytes of its files were lost a 0 becomes 120; that
 * sys.stdout failed makes 120 of any, as in CPython. */
PyAPI_FUNC(int) _PyRt_ExitCode(int code, int finalized);

/* The name of a file, as reports use it; never NULL, valid until the next call of this thread. */
PyAPI_FUNC(const char *) _PyRt_FileName(PyObject *file);

/* A record on its way from a text file into its buffer. A program may switch C stacks inside the buffer's
 * write(), as greenlets do: calls end in any order, or never, and what lay on a stack would be overwritten
 * meanwhile. So records are on the heap, and in lists of the two files. */
struct rt_record {
    struct rt_record *older; /* of the same text file */
    struct rt_record *other; /* for the same buffer */
    PyObject *bytes;
    PyObject *buffer;     /* one of CPython's own, which knows what became of it, or NULL */
    unsigned long thread; /* that brings it */
    uint32_t forks;       /* above the process in which it was begun */
    Py_ssize_t new;       /* bytes of the write() that brings it, which has not returned */
    int owners;           /* the call that brings it and the text file's list; 0: it is free */
    int has_arrived;      /* the buffer has all of it, though its thread may not have heard so */
};

/* Of bufferedio.c: a record comes to a buffer, and is over. */
PyAPI_FUNC(void) _PyRt_RecordBegins(PyObject *buffer, struct rt_record *record);
PyAPI_FUNC(void) _PyRt_RecordEnds(PyObject *buffer, struct rt_record *record);

/* Likewise: how much of a record its raw file took, and how much of it is in write(2). */
PyAPI_FUNC(void) _PyRt_StateOfRecord(const struct rt_record *record, Py_ssize_t *taken, Py_ssize_t *in_flight);

/* Likewise: what finalization knows of a buffered file, or of an object of a subclass. */
PyAPI_FUNC(_PyRt_File *) _PyRt_FileOfBuffer(PyObject *buffer);

/* Likewise: writes what a buffered file, or an object of a subclass, holds back. */
PyAPI_FUNC(int) _PyRt_FlushBuffer(PyObject *buffer);

/* The lock of the buffered file that is about to be written by this thread's next call of _Py_write, or NULL.
 * That call takes it at its beginning; nothing else runs in between. */
PyAPI_DATA(_Py_thread_local rt_buffered_lock *) _PyRt_Offering;

static inline rt_buffered_lock *_PyRt_TakeOffering(void)
{
    rt_buffered_lock *offering = _PyRt_Offering;
    _PyRt_Offering = NULL;
    return offering;
}

/* write(2) has returned and the thread has not come back in yet, so it cannot have been parked: the count
 * must be where a thread that takes the lock over finds it. */
static inline void _PyRt_Wrote(rt_buffered_lock *offering, Py_ssize_t count)
{
    if (offering != NULL && count > 0) {
        rt_buffered_lock_publish_progress(offering, (uint32_t)count);
    }
}

#endif
