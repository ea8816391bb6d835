/*
 * What GetLastError says is the caller's: a deallocator, a destructor or a logger runs in the middle of code
 * that is about to look at it. Whatever a call comes to, it leaves that as it was.
 */
#include "pending.h"

enum { CALLERS = 12345 };

/* The call comes to this, and leaves the last error as it was. */
#define KEEPS(call, expected)                     \
    do {                                          \
        long long came_to;                        \
        SetLastError(CALLERS);                    \
        came_to = (long long)(call);              \
        CHECK_EQ(GetLastError(), CALLERS);        \
        CHECK_EQ(came_to, (long long)(expected)); \
    } while (0)

static int change_it(void *arg)
{
    (void)arg;
    SetLastError(54321);
    return 0;
}

static rt_writer_options options_of_writer(void)
{
    rt_writer_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "log";
    options.capacity = 16;
    return options;
}

static void calls_about_threads_and_guards_keep_it(void)
{
    rt_thread_options options;
    rt_thread *thread = NULL;
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "keeper";
    KEEPS(rt_thread_attach(NULL, &options, &thread), RT_OK); /* the thread's first */
    KEEPS(rt_thread_enter(thread), RT_OK);
    KEEPS(rt_thread_checkpoint(thread), RT_OK);
    KEEPS(rt_thread_leave(thread), RT_OK);
    KEEPS(rt_view_from(NULL, &view), RT_OK);
    KEEPS(rt_guard_acquire(view, "guard", &guard), RT_OK);
    KEEPS(rt_guard_release(guard), RT_OK);
    KEEPS(rt_guard_release(guard), RT_ERR_HANDLE);
    KEEPS(rt_view_close(view), RT_OK);
    KEEPS(rt_thread_detach(thread), RT_OK);
}

static void *try_the_lock(void *arg)
{
    KEEPS(rt_buffered_lock_acquire_timed((rt_buffered_lock *)arg, 0), RT_ERR_TIMEOUT);
    KEEPS(rt_buffered_lock_acquire_timed((rt_buffered_lock *)arg, 20000), RT_ERR_TIMEOUT);
    KEEPS(rt_buffered_lock_release((rt_buffered_lock *)arg), RT_ERR_NOT_OWNER);
    return NULL;
}

static void calls_about_locks_keep_it(void)
{
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    KEEPS(rt_buffered_lock_acquire(&lock), RT_OK);
    KEEPS(rt_buffered_lock_acquire(&lock), RT_ERR_REENTRANT);
    pthread_join(thread_start(try_the_lock, &lock), NULL);
    KEEPS(rt_buffered_lock_release(&lock), RT_OK);
}

static void calls_about_writers_keep_it(void)
{
    static char much[200];
    rt_writer_options options = options_of_writer();
    rt_writer *writer = NULL;
    uint64_t lost = 0;
    HANDLE out, in;
    NEED(CreatePipe(&out, &in, NULL, 4096));
    KEEPS(rt_writer_open_handle(NULL, NULL, &options, &writer), RT_ERR_BAD_DESCRIPTOR);
    KEEPS(rt_writer_open_fd(NULL, 12345, &options, &writer), RT_ERR_BAD_DESCRIPTOR);
    KEEPS(rt_writer_open_handle(NULL, in, &options, &writer), RT_OK);
    KEEPS(rt_writer_write(writer, "x", 1), RT_OK);
    KEEPS(rt_writer_write(writer, much, sizeof much), RT_OK);
    KEEPS(rt_writer_flush(writer, -1), RT_OK);
    while (rt_writer_write_timed(writer, much, sizeof much, 0) == RT_OK) {
    }
    KEEPS(rt_writer_write_timed(writer, much, sizeof much, 20000), RT_ERR_TIMEOUT);
    KEEPS(rt_writer_flush(writer, 20000), RT_ERR_TIMEOUT);
    CloseHandle(out);
    KEEPS(rt_writer_flush(writer, -1), RT_ERR_IO);
    KEEPS(rt_writer_abandon(writer, &lost), RT_OK);
    CHECK(lost > 0);
}

static void calls_about_operations_keep_it(void)
{
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, d.server, 0, 64);
    rt_overlapped *op = NULL;
    const void *data = NULL;
    uint32_t error = 0;
    size_t size = 0;
    KEEPS(rt_overlapped_start(NULL, &r, "reader", &op), RT_OK); /* the system said ERROR_IO_PENDING */
    KEEPS(rt_overlapped_result(op, &size), RT_ERR_IN_FLIGHT);
    KEEPS(rt_overlapped_wait(op, 1000), RT_ERR_TIMEOUT);
    put(d.client, "hello", 5);
    KEEPS(rt_overlapped_wait(op, -1), RT_OK);
    KEEPS(rt_overlapped_data(op, &data, &size), RT_OK);
    KEEPS(rt_overlapped_dealloc(op), RT_OK);
    KEEPS(rt_overlapped_dealloc(op), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_start(NULL, &r, "reader", &op), RT_OK);
    rt_overlapped_cancel(op);
    KEEPS(rt_overlapped_wait(op, -1), RT_ERR_IO);
    KEEPS(rt_overlapped_cancel(op), RT_OK);
    KEEPS(rt_overlapped_error(op, &error), RT_OK);
    CHECK_EQ(error, ERROR_OPERATION_ABORTED);
    KEEPS(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(rt_overlapped_start(NULL, &r, "reader", &op), RT_OK);
    KEEPS(rt_overlapped_dealloc(op), RT_OK); /* by cancelling it */
    r.flags = RT_OVERLAPPED_NO_CANCEL;
    CHECK_EQ(rt_overlapped_start(NULL, &r, "kept", &op), RT_OK);
    KEEPS(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    r.handle = NULL;
    KEEPS(rt_overlapped_start(NULL, &r, "none", &op), RT_ERR_BAD_DESCRIPTOR);
}

static void a_finalization_keeps_it_and_what_its_callbacks_do_to_it_is_theirs(void)
{
    duplex d = duplex_open();
    rt_overlapped *op = start_read(d.server, RT_OVERLAPPED_NO_CANCEL, 64, "kept");
    rt_report *report = NULL;
    char text[100]; /* too small */
    KEEPS(rt_atexit(NULL, "changes it", change_it, NULL, NULL), RT_OK);
    KEEPS(rt_pending_add(NULL, "changes it", change_it, NULL, NULL), RT_OK);
    KEEPS(rt_is_finalizing(), 0);
    KEEPS(rt_finalize(NULL, NULL, &report), RT_OK);
    KEEPS(rt_is_finalizing(), 1);
    KEEPS(rt_finalize_ex(), 0);
    KEEPS(rt_atexit(NULL, "late", change_it, NULL, NULL), RT_ERR_FINALIZING);
    KEEPS(rt_overlapped_dealloc(op), RT_LEAKED);
    KEEPS(rt_report_format(report, RT_REPORT_TEXT, text, sizeof text, NULL), RT_ERR_SIZE);
    KEEPS(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(calls_about_threads_and_guards_keep_it);
    RUN(calls_about_locks_keep_it);
    RUN(calls_about_writers_keep_it);
    RUN(calls_about_operations_keep_it);
    RUN(a_finalization_keeps_it_and_what_its_callbacks_do_to_it_is_theirs);
    return check_done();
}
