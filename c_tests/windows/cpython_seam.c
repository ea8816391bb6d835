/*
 * CPython's seam on Windows (cpython/overlapped.h) against the kernel: what becomes of the object that
 * has an operation's OVERLAPPED, event and buffer inside. Of CPython there is only what the seam asks of it.
 */
#include "pending.h"

/* In place of adapter.h. */
#define RTFINALIZE_CPYTHON_ADAPTER_H

typedef struct PyTypeObject {
    const char *tp_name;
    ptrdiff_t tp_basicsize;
} PyTypeObject;

typedef struct PyObject {
    const PyTypeObject *type;
} PyObject;

static int unraisable;

#define Py_TYPE(object) ((object)->type)
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
#define PyExc_RuntimeError NULL
#define PyErr_GetRaisedException() NULL
#define PyErr_SetRaisedException(raised) ((void)(raised))
#define PyErr_Format(kind, ...) ((void)(kind))
#define PyErr_WriteUnraisable(object) (unraisable++)

#include "../../cpython/overlapped.h"

/* As _winapi.Overlapped. */
typedef struct OverlappedObject {
    PyObject base;
    OVERLAPPED overlapped;
    HANDLE handle;
    int pending;
    char buffer[64];
    rt_io rt;
} OverlappedObject;

static const PyTypeObject overlapped_type = {"_winapi.Overlapped", sizeof(OverlappedObject)};

static int is_started(PyObject *object)
{
    return ((OverlappedObject *)object)->pending;
}

static OverlappedObject *object_new(HANDLE handle)
{
    OverlappedObject *self = (OverlappedObject *)calloc(1, sizeof *self);
    NEED(self != NULL);
    self->base.type = &overlapped_type;
    self->handle = handle;
    self->overlapped.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    rt_io_begin(&self->rt, &self->base, &self->overlapped, &self->handle, is_started);
    return self;
}

static OverlappedObject *reading(HANDLE handle)
{
    OverlappedObject *self = object_new(handle);
    NEED(!ReadFile(handle, self->buffer, sizeof self->buffer, NULL, &self->overlapped));
    NEED(GetLastError() == ERROR_IO_PENDING);
    self->pending = 1;
    return self;
}

/* What keeps CancelIoEx from finding the operation. */
static void make_stubborn(OverlappedObject *self)
{
    self->handle = INVALID_HANDLE_VALUE;
}

static int is_open(HANDLE handle)
{
    DWORD flags;
    return handle != NULL && GetHandleInformation(handle, &flags);
}

/* The kernel gets to its end with an object that was not freed. */
static void check_it_completes_late(OverlappedObject *self, duplex *d)
{
    CHECK(is_open(self->overlapped.hEvent));
    put(d->client, "late", 4);
    CHECK_EQ(WaitForSingleObject(self->overlapped.hEvent, 30000), WAIT_OBJECT_0);
    CHECK(memcmp(self->buffer, "late", 4) == 0);
}

static void an_object_with_a_pending_read_is_freed_once_that_is_cancelled(void)
{
    duplex d = duplex_open();
    OverlappedObject *self = reading(d.server);
    CHECK_EQ(rt_io_end(&self->rt), 1);
    CHECK(self->overlapped.hEvent == NULL);
    CHECK_EQ(self->overlapped.Internal, 0xC0000120); /* STATUS_CANCELLED */
    CHECK_EQ(unraisable, 0);
    free(self);
    duplex_close(&d);
}

static void an_object_whose_operation_never_began_is_freed(void)
{
    duplex d = duplex_open();
    OverlappedObject *self = object_new(d.server);
    self->overlapped.Internal = STATUS_PENDING; /* as a refused call may leave it */
    CHECK_EQ(rt_io_end(&self->rt), 1);
    CHECK(self->overlapped.hEvent == NULL);
    free(self);
    duplex_close(&d);
}

static void one_that_cannot_be_cancelled_is_kept_with_a_warning_while_python_runs(void)
{
    duplex d = duplex_open();
    OverlappedObject *self = reading(d.server);
    make_stubborn(self);
    CHECK_EQ(rt_io_end(&self->rt), 0);
    CHECK_EQ(unraisable, 1);
    check_it_completes_late(self, &d);
    CHECK_EQ(rt_finalize_ex(), 0); /* ends it, and closes the event */
    CHECK(self->overlapped.hEvent == NULL);
}

static int end_it(void *arg)
{
    CHECK_EQ(rt_io_end((rt_io *)arg), 0);
    return 0;
}

static void one_that_cannot_be_cancelled_is_leaked_without_a_warning_while_python_finalizes(void)
{
    duplex d = duplex_open();
    OverlappedObject *self = reading(d.server);
    rt_report *report = NULL;
    make_stubborn(self);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "clear modules", end_it, &self->rt, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(unraisable, 0);
    CHECK_EQ(leaks_in(report, RT_LEAK_OVERLAPPED), 1);
    CHECK(report_says(report, "_winapi.Overlapped"));
    check_it_completes_late(self, &d);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* Made after the freeze, when the library takes no operation any more. */
static int make_and_end(void *arg)
{
    duplex *d = (duplex *)arg;
    OverlappedObject *self = reading(d->server);
    CHECK(self->rt.operation == NULL);
    CHECK_EQ(rt_io_end(&self->rt), 1);
    free(self);
    self = reading(d->server);
    make_stubborn(self);
    CHECK_EQ(rt_io_end(&self->rt), 0);
    check_it_completes_late(self, d);
    return 0;
}

static void an_object_made_while_python_finalizes_follows_the_same_rules(void)
{
    duplex d = duplex_open();
    rt_report *report = NULL;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, NULL, make_and_end, &d, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(leaks_in(report, RT_LEAK_OVERLAPPED), 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(an_object_with_a_pending_read_is_freed_once_that_is_cancelled);
    RUN(an_object_whose_operation_never_began_is_freed);
    RUN(one_that_cannot_be_cancelled_is_kept_with_a_warning_while_python_runs);
    RUN(one_that_cannot_be_cancelled_is_leaked_without_a_warning_while_python_finalizes);
    RUN(an_object_made_while_python_finalizes_follows_the_same_rules);
    return check_done();
}
