/*
 * Part of _winapi.c and overlapped.c, on Windows: what an Overlapped object owes to the kernel.
 *
 * Until its operation has ended the kernel writes to the OVERLAPPED inside the object, and to its buffers.
 * The object owns all of that, and the library asks for it by the callbacks below. It hears of the object
 * when that is made, because once frozen it takes no new operations. One that cannot be ended is leaked by
 * not freeing the object: its deallocator returns early, with event, handle and buffers as they are.
 *
 * CPython waits for such an operation without a bound, and then has the test whether it finalizes the wrong
 * way round: it frees the memory at exit, and leaks it while it could still wait (bpo-19565).
 */
#include "adapter.h"

typedef struct {
    rt_overlapped *operation; /* NULL for an object that was made after the freeze, or without memory */
    PyObject *object;
    OVERLAPPED *overlapped; /* the object's, like what follows */
    const HANDLE *handle;
    /* Whether the kernel was ever given the operation: of one it refused, `overlapped` may look pending. */
    int (*is_started)(PyObject *object);
} rt_io;

/* How long an operation that was cancelled may take to end, without the library. */
#define RT_IO_CANCEL_US (100 * 1000)

static int
rt_io_cancel(void *arg)
{
    rt_io *io = arg;
    /* That it cannot be cancelled any more is no failure: whether it has ended is asked next. */
    (void)CancelIoEx(*io->handle, io->overlapped);
    return RT_OK;
}

/* By the status in the OVERLAPPED: a wait for a handle that is tied to a completion port may never end. */
static int
rt_io_wait(void *arg, int64_t timeout_us)
{
    rt_io *io = arg;
    ULONGLONG begin = GetTickCount64();
    while (io->is_started(io->object) && !HasOverlappedIoCompleted(io->overlapped)) {
        if (timeout_us >= 0 && (int64_t)(GetTickCount64() - begin) * 1000 >= timeout_us) {
            return 1;
        }
        Sleep(1);
    }
    return 0;
}

static int
rt_io_close(void *arg)
{
    rt_io *io = arg;
    if (io->overlapped->hEvent != NULL) {
        CloseHandle(io->overlapped->hEvent);
        io->overlapped->hEvent = NULL;
    }
    return RT_OK;
}

/* The rest of the object is filled in. */
static void
rt_io_begin(rt_io *io, PyObject *object, OVERLAPPED *overlapped, const HANDLE *handle,
            int (*is_started)(PyObject *object))
{
    rt_overlapped_callbacks callbacks = {
        .struct_size = sizeof callbacks,
        .cancel = rt_io_cancel,
        .wait = rt_io_wait,
        .close = rt_io_close,
        .arg = io,
        .bytes = (size_t)Py_TYPE(object)->tp_basicsize,
    };
    io->operation = NULL;
    io->object = object;
    io->overlapped = overlapped;
    io->handle = handle;
    io->is_started = is_started;
    rt_overlapped_new(NULL, &callbacks, Py_TYPE(object)->tp_name, &io->operation);
}

/* As the library does it, for an object it could not take. */
static rt_status
rt_io_end_alone(rt_io *io)
{
    if (rt_io_wait(io, 0) != 0) {
        rt_io_cancel(io);
    }
    if (rt_io_wait(io, RT_IO_CANCEL_US) == 0) {
        rt_io_close(io);
        return RT_OK;
    }
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_OVERLAPPED};
    leak.name = Py_TYPE(io->object)->tp_name;
    leak.reason = "the kernel still works on it";
    leak.bytes = (uint64_t)Py_TYPE(io->object)->tp_basicsize;
    rt_note_leak(NULL, &leak);
    return RT_LEAKED;
}

/* Ends the operation and closes its event. Returns 0 if the object must not be freed. */
static int
rt_io_end(rt_io *io)
{
    rt_status status;
    if (rt_io_wait(io, 0) == 0 && io->operation != NULL) {
        status = rt_overlapped_dealloc(io->operation);
    }
    else {
        Py_BEGIN_ALLOW_THREADS
        status = io->operation != NULL ? rt_overlapped_dealloc(io->operation) : rt_io_end_alone(io);
        Py_END_ALLOW_THREADS
    }
    if (status == RT_ERR_IN_FLIGHT) {
        /* Finalization sees to it. */
        PyObject *raised = PyErr_GetRaisedException();
        PyErr_Format(PyExc_RuntimeError, "the operation of an object of type %s cannot be cancelled: its "
                     "memory is kept", Py_TYPE(io->object)->tp_name);
        PyErr_WriteUnraisable(NULL);
        PyErr_SetRaisedException(raised);
    }
    return status == RT_OK;
}
