/*
 * The files of the process: which there are, what they still hold back, and how the finalizing thread
 * writes it without ever waiting for room.
 *
 * CPython flushes sys.stdout and sys.stderr at exit and leaves every other file to its destructor, which
 * does not run when a daemon thread's frame or a dead cycle refers to the file: its bytes are lost in
 * silence. Here every buffered and text file is in one list, and all of it is flushed.
 */
#include "Python.h"
#include "pycore_fileutils.h"
#include "pycore_interp.h"
#include "pycore_lock.h"
#include "pycore_object.h"
#include "adapter.h"

#include <errno.h>
#include <fcntl.h>
#ifndef MS_WINDOWS
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

/* In the order in which they were opened. The mutex is held for a few instructions, never over Python code. */
static struct {
    PyMutex mutex;
    _PyRt_File *first, *last;
    Py_ssize_t that_may_need_python;
} files;

/* A thread that left Python to wait could be parked before it is back, and the mutex with it. */
static void lock_files(void)
{
    PyMutex_LockFlags(&files.mutex, _Py_LOCK_DONT_DETACH);
}

static void unlock_files(void)
{
    PyMutex_Unlock(&files.mutex);
}

uint32_t _PyRt_Forks;
_Py_thread_local rt_buffered_lock *_PyRt_Offering;
static _Py_thread_local int64_t patience_us = -1;

int64_t _PyRt_Patience(void)
{
    return patience_us;
}

int64_t _PyRt_SetPatience(int64_t us)
{
    int64_t before = patience_us;
    patience_us = us;
    return before;
}

/* With the mutex. */
static int is_listed(_PyRt_File *file)
{
    return file->previous != NULL || files.first == file;
}

void _PyRt_FileOpened(_PyRt_File *file)
{
#ifdef Py_GIL_DISABLED
    /* Its last reference is dropped so that collect() sees it, on whichever thread. */
    _PyObject_SetMaybeWeakref(file->object);
#endif
    lock_files();
    file->next = NULL;
    file->previous = files.last;
    *(files.last != NULL ? &files.last->next : &files.first) = file;
    files.last = file;
    files.that_may_need_python += file->may_need_python;
    unlock_files();
}

void _PyRt_MayNeedPython(_PyRt_File *file, int may)
{
    lock_files();
    if (is_listed(file)) {
        files.that_may_need_python += may - file->may_need_python;
        file->may_need_python = (uint8_t)may;
    }
    unlock_files();
}

/* With the mutex. Nothing happens to one that is not in the list. */
static void unlink_file(_PyRt_File *file)
{
    if (!is_listed(file)) {
        return;
    }
    *(file->previous != NULL ? &file->previous->next : &files.first) = file->next;
    *(file->next != NULL ? &file->next->previous : &files.last) = file->previous;
    file->next = file->previous = NULL;
    files.that_may_need_python -= file->may_need_python;
    file->may_need_python = 0;
}

void _PyRt_FileGone(_PyRt_File *file)
{
    lock_files();
    unlink_file(file);
    unlock_files();
    PyMem_RawFree(file->name);
    file->name = NULL;
}

void _PyRt_ForgetFiles(PyInterpreterState *interp)
{
    _PyRt_File *next;
    lock_files();
    for (_PyRt_File *file = files.first; file != NULL; file = next) {
        next = file->next;
        if (file->interp == interp) {
            unlink_file(file);
        }
    }
    unlock_files();
}

void _PyRt_AfterFork(void)
{
    _PyRt_Forks++;
    _PyRt_NobodyIsParked();
    _PyMutex_at_fork_reinit(&files.mutex);
    for (_PyRt_File *file = files.first; file != NULL; file = file->next) {
        file->is_parents = file->is_parents || file->kind->holds(file->object);
    }
}

int _PyRt_IsEnding(void)
{
    return _PyRt_IsLastFlush() || _PyInterpreterState_GetFinalizing(_PyInterpreterState_GET()) != NULL;
}

/* The files that hold something, at least in that way, in their order, each with a reference. Returns how many;
 * *all is to be freed. Without memory it is those that there was memory for. */
static Py_ssize_t collect(PyInterpreterState *interp, int how, _PyRt_File ***all)
{
    Py_ssize_t filled = 0, room = 0;
    *all = NULL;
    lock_files();
    /* Of thousands of files, often none needs Python. */
    _PyRt_File *first = how < _PyRt_HOLDS_FOR_PYTHON || files.that_may_need_python > 0 ? files.first : NULL;
    for (_PyRt_File *file = first; file != NULL; file = file->next) {
        if (file->interp != interp || file->is_parents || file->kind->holds(file->object) < how) {
            continue;
        }
        if (filled == room) {
            room = 2 * room + 16;
            _PyRt_File **more = PyMem_RawRealloc(*all, (size_t)room * sizeof(**all));
            if (more == NULL) {
                break;
            }
            *all = more;
        }
        /* One whose destructor runs, here below or on another thread, is its destructor's to flush. */
        if (_Py_TryIncref(file->object)) {
            (*all)[filled++] = file;
        }
    }
    unlock_files();
    return filled;
}

void _PyRt_KeepName(_PyRt_File *file)
{
    if (file->name == NULL) {
        file->name = _PyMem_RawStrdup(_PyRt_FileName(file->object));
    }
}

/* Returns whether a file may have got what another one held. */
static int flush_all(PyInterpreterState *interp, int how)
{
    int moved = 0;
    _PyRt_File **all;
    Py_ssize_t count = collect(interp, how, &all);
    if (count > 0) {
        rt_may_wait(interp->atexit.rt);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        int did = all[i]->kind->flush(all[i]->object);
        moved |= did > 0;
        if (did < 0) {
            PyErr_Clear();
            _PyRt_KeepName(all[i]);
        }
        Py_DECREF(all[i]->object);
    }
    PyMem_RawFree(all);
    return moved;
}

void _PyRt_FlushFiles(PyInterpreterState *interp)
{
    /* Before the freeze a lock that is held is its owner's business: the flush after it tries again, and
     * can take it over. A subinterpreter whose threads have ended has no owner that runs. */
    int64_t before = _PyRt_SetPatience(_PyRt_IsFrozen() ? -1 : 0);
    PyObject *raised = PyErr_GetRaisedException();
    /* What compresses or encodes writes to a file that was opened before it. */
    int how = _PyRt_IsEnding() ? _PyRt_HOLDS : _PyRt_HOLDS_FOR_PYTHON;
    for (int layers = 0; layers < 4 && flush_all(interp, how); layers++) {
    }
    PyErr_SetRaisedException(raised);
    _PyRt_SetPatience(before);
}

int _PyRt_LastChance;

int _PyRt_HasDeadline;

int _PyRt_MustNotWait(void)
{
    return _PyRt_IsLastFlush()
           && (_Py_atomic_load_int_relaxed(&_PyRt_LastChance) || _PyRt_HasDeadline);
}

size_t _PyRt_RescueFiles(void)
{
    size_t left = 0;
    /* Over all of it: no file dies meanwhile. Nothing here waits. */
    lock_files();
    for (_PyRt_File *file = files.first; file != NULL; file = file->next) {
        left += (size_t)file->kind->rescue(file->object);
    }
    unlock_files();
    return left;
}

void _PyRt_AccountForFiles(PyInterpreterState *interp)
{
    _PyRt_File **all;
    Py_ssize_t count = collect(interp, _PyRt_HOLDS, &all);
    for (Py_ssize_t i = 0; i < count; i++) {
        all[i]->kind->account(all[i]->object);
        Py_DECREF(all[i]->object);
    }
    PyMem_RawFree(all);
    _PyRt_ForgetFiles(interp);
}

void _PyRt_Say(const char *format, ...)
{
    char line[512];
    va_list given;
    va_start(given, format);
    PyOS_vsnprintf(line, sizeof(line), format, given);
    va_end(given);
    rt_tell(line);
}

/* What of the losses has no line of its own: a full disk may be that of thousands of files. Atomics: files of several
 * interpreters end at once, and the last look is a thread's that must not wait. */
#define LINES 10
static struct {
    uint32_t lines, files;
    uint64_t bytes;
} losses;

void _PyRt_NoteLost(_PyRt_File *file, _PyRt_File *buffer, rt_report_destination *lost)
{
    uint64_t bytes = lost->unwritten + lost->in_flight;
    /* A text file and its buffer are one file to a reader. */
    _PyRt_File *whole = buffer != NULL ? buffer : file;
    lost->name = file->name != NULL ? file->name : _PyRt_FileName(file->object);
    rt_note_destination(NULL, lost);
    file->accounted = 1;
    if (file->is_told) {
        return;
    }
    if (whole->loss == _PyRt_LOSS_UNSAID) {
        int has_line = _Py_atomic_add_uint32(&losses.lines, 1) < LINES;
        whole->loss = has_line ? _PyRt_LOSS_HAS_LINE : _PyRt_LOSS_IN_SUM;
        _Py_atomic_add_uint32(&losses.files, !has_line);
    }
    if (whole->loss == _PyRt_LOSS_HAS_LINE) {
        _PyRt_Say("'main': %llu bytes of '%s' are not written: %s", (unsigned long long)bytes, lost->name,
                  lost->reason);
    }
    else {
        _Py_atomic_add_uint64(&losses.bytes, bytes);
    }
}

void _PyRt_SayOtherLosses(void)
{
    uint32_t count = _Py_atomic_exchange_uint32(&losses.files, 0);
    uint64_t bytes = _Py_atomic_exchange_uint64(&losses.bytes, 0);
    _Py_atomic_store_uint32(&losses.lines, 0);
    if (count > 0) {
        _PyRt_Say("'main': %llu bytes of %u other file%s are not written; the report (RTFINALIZE_REPORT) names them",
                  (unsigned long long)bytes, (unsigned)count, count == 1 ? "" : "s");
    }
}

void _PyRt_IsTold(PyObject *object)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *buffer = PyObject_GetAttrString(object, "buffer");
    PyErr_Clear();
    lock_files();
    for (_PyRt_File *file = files.first; file != NULL; file = file->next) {
        file->is_told |= file->object == object || file->object == buffer;
    }
    unlock_files();
    Py_XDECREF(buffer);
    PyErr_SetRaisedException(raised);
}

const char *_PyRt_FileName(PyObject *file)
{
    static _Py_thread_local char text[256];
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *name = PyObject_GetAttrString(file, "name");
    PyObject *string = name == NULL ? NULL : PyObject_Str(name);
    const char *utf8 = string == NULL ? NULL : PyUnicode_AsUTF8(string);
    /* A cut name must end between characters; an invalid one is no name. */
    size_t length = utf8 == NULL ? 0 : strlen(utf8);
    if (length > sizeof(text) - 1) {
        for (length = sizeof(text) - 1; (utf8[length] & 0xC0) == 0x80; length--) {
        }
    }
    if (length > 0 && PyLong_Check(name)) {
        snprintf(text, sizeof text, "descriptor %s", utf8);
    }
    else if (length > 0) {
        memcpy(text, utf8, length);
        text[length] = 0;
    }
    else {
        strcpy(text, "a file without a name");
    }
    Py_XDECREF(string);
    Py_XDECREF(name);
    PyErr_SetRaisedException(raised);
    return text;
}

#ifndef MS_WINDOWS

/* A descriptor with an error has room: the write says which. */
Py_ssize_t _PyRt_RoomAt(int fd, Py_ssize_t len)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    struct stat about;
    if (fstat(fd, &about) == 0 && (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode))) {
        return len;
    }
    if (poll(&room, 1, 0) == 0) {
        return 0;
    }
    return len < PIPE_BUF ? len : PIPE_BUF;
}

Py_ssize_t _PyRt_AwaitRoom(PyObject *raw, Py_ssize_t len)
{
    int64_t left_us = rt_time_left(_PyInterpreterState_GET()->atexit.rt);
    if (left_us < 0) {
        return len;
    }
    struct pollfd room = {.fd = PyObject_AsFileDescriptor(raw), .events = POLLOUT};
    if (room.fd < 0) {
        return -1;
    }
    Py_BEGIN_ALLOW_THREADS
    poll(&room, 1, left_us / 1000 < INT_MAX ? (int)(left_us / 1000) : INT_MAX);
    Py_END_ALLOW_THREADS
    len = _PyRt_RoomAt(room.fd, len);
    if (len == 0) {
        PyErr_SetString(PyExc_BlockingIOError, "no room at the destination before the deadline");
        return -1;
    }
    return len;
}

static rt_writer *open_late(_PyRt_File *file, int fd)
{
    rt_writer_options options = {.struct_size = sizeof options, .flags = RT_WRITER_OWNS_FD};
    /* One of its own: CPython closes the file before the library is done with it. */
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    options.name = _PyRt_FileName(file->object);
    if (own >= 0 && rt_writer_open_fd(NULL, own, &options, &file->late) < 0) {
        close(own);
        file->late = NULL;
    }
    return file->late;
}

#define LATE_WRITERS 64
static struct {
    rt_writer *all[LATE_WRITERS];
    size_t count;
} late;

Py_ssize_t _PyRt_WriteLate(_PyRt_File *file, PyObject *raw, const char *data, Py_ssize_t len)
{
    int fd = PyObject_AsFileDescriptor(raw);
    if (fd < 0) {
        return -1;
    }
    if (file->late == NULL) {
        Py_ssize_t room = _PyRt_RoomAt(fd, len);
        if (room > 0) {
            Py_ssize_t written = _Py_write(fd, data, (size_t)room);
            if (written >= 0 || !PyErr_ExceptionMatches(PyExc_BlockingIOError)) {
                return written;
            }
            PyErr_Clear();
        }
        if (late.count == LATE_WRITERS || open_late(file, fd) == NULL) {
            PyErr_SetString(PyExc_BlockingIOError, "no room at the destination while finalizing");
            return -1;
        }
        late.all[late.count++] = file->late;
    }
    /* From the first byte that found no room on, all go this way: in their order. */
    if (rt_writer_write_timed(file->late, data, (size_t)len, 0) < 0) {
        PyErr_Format(PyExc_BlockingIOError, "%s", rt_last_error());
        return -1;
    }
    return len;
}

void _PyRt_CloseLateWriters(void)
{
    while (late.count > 0) {
        rt_writer_close(late.all[--late.count], 0);
    }
}

#else

Py_ssize_t _PyRt_WriteLate(_PyRt_File *Py_UNUSED(file), PyObject *raw, const char *data, Py_ssize_t len)
{
    int fd = PyObject_AsFileDescriptor(raw);
    return fd < 0 ? -1 : _Py_write(fd, data, (size_t)len);
}

Py_ssize_t _PyRt_AwaitRoom(PyObject *Py_UNUSED(raw), Py_ssize_t len)
{
    return len;
}

void _PyRt_CloseLateWriters(void)
{
}

#endif
