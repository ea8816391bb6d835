/*
 * When memory runs out, calls say so and change nothing: no call ends the process. The limit is set in
 * each test's own process.
 */
#include "destination.h"
#include "scarce.h"

/* What the process may still allocate in these tests. */
enum { ROOM = 24 << 20 };

static int count(void *arg)
{
    ++*(size_t *)arg;
    return 0;
}

static void a_buffer_that_cannot_be_had_is_refused(void)
{
    int null = open(NULL_DEVICE, O_WRONLY), i;
    rt_writer *writer = NULL;
    rt_writer_options options = writer_options("log", ROOM * 2, 0);
    memory_limit(ROOM);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_writer_open_fd(NULL, null, &options, &writer), RT_ERR_NO_MEMORY);
        CHECK(strstr(rt_last_error(), rt_strerror(RT_ERR_NO_MEMORY)) != NULL);
        CHECK(writer == NULL);
    }
    options.capacity = 1000;
    CHECK_EQ(rt_writer_open_fd(NULL, null, &options, &writer), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
}

static void a_record_too_large_for_memory_is_accepted_whole_or_not_at_all(void)
{
    static unsigned char record[ROOM * 2];
    int ends[2];
    rt_writer *writer;
    bytes got = {0};
    memset(record, 'x', sizeof record);
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 100, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 50), 50), RT_OK);
    memory_limit(ROOM);
    CHECK_EQ(rt_writer_write(writer, record, sizeof record), RT_ERR_NO_MEMORY);
    CHECK_EQ(account_of(writer).accepted, 50);
    CHECK_EQ(rt_writer_write(writer, stream(50, 500), 500), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 550);
}

static void a_buffer_larger_than_any_memory_is_refused(void)
{
    int null = open(NULL_DEVICE, O_WRONLY);
    rt_writer *writer = NULL;
    rt_writer_options options = writer_options("log", PTRDIFF_MAX, 0);
    CHECK_EQ(rt_writer_open_fd(NULL, null, &options, &writer), RT_ERR_NO_MEMORY);
    CHECK(strstr(rt_last_error(), rt_strerror(RT_ERR_NO_MEMORY)) != NULL);
    CHECK(writer == NULL);
}

/* Each way to register, until there is no memory left; then everything that was registered runs. */
typedef rt_status (*registration)(rt_runtime *runtime, const char *name, size_t *counter);

static rt_status add_at_exit(rt_runtime *runtime, const char *name, size_t *counter)
{
    return rt_atexit(runtime, name, count, counter, NULL);
}

static rt_status add_exit_function(rt_runtime *runtime, const char *name, size_t *counter)
{
    return rt_exit_function(runtime, name, count, counter, NULL);
}

static rt_status add_pending(rt_runtime *runtime, const char *name, size_t *counter)
{
    return rt_pending_add(runtime, name, count, counter, NULL);
}

static rt_status add_handler(rt_runtime *runtime, const char *name, size_t *counter)
{
    return rt_phase_add_handler(runtime, RT_PHASE_FINALIZE, 0, name, count, counter, NULL);
}

static rt_status add_object(rt_runtime *runtime, const char *name, size_t *counter)
{
    return rt_object_track(runtime, name, count, NULL, counter, NULL);
}

static void register_until_memory_is_out(registration add, const char *name)
{
    size_t registered = 0, called = 0, refused = 0;
    rt_runtime *runtime = runtime_new("full");
    /* This thread has used the library before: a new one may be refused for want of memory too. */
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    memory_limit(ROOM);
    while (refused < 100) {
        rt_status status = add(runtime, name, &called);
        CHECK(status == RT_OK || status == RT_ERR_NO_MEMORY);
        registered += status == RT_OK;
        refused += status != RT_OK;
    }
    CHECK(registered > 1000);
    rt_finalize(runtime, NULL, NULL); /* a report may be too large for what is left */
    CHECK_EQ(called, registered);
}

static char long_name[1 << 12];

static void at_exit_callbacks(void)
{
    register_until_memory_is_out(add_at_exit, NULL);
}

static void at_exit_callbacks_with_names(void)
{
    register_until_memory_is_out(add_at_exit, long_name);
}

static void exit_functions(void)
{
    register_until_memory_is_out(add_exit_function, "n");
}

static void pending_calls(void)
{
    register_until_memory_is_out(add_pending, "n");
}

static void handlers(void)
{
    register_until_memory_is_out(add_handler, long_name);
}

static void objects(void)
{
    register_until_memory_is_out(add_object, "n");
}

static void writers_until_memory_is_out(void)
{
    size_t opened = 0, refused = 0;
    int null = open(NULL_DEVICE, O_WRONLY);
    rt_writer_options options = writer_options(long_name, 100, 0);
    memory_limit(ROOM);
    while (refused < 100) {
        rt_writer *writer = NULL;
        rt_status status = rt_writer_open_fd(NULL, null, &options, &writer);
        CHECK(status == RT_OK || status == RT_ERR_NO_MEMORY);
        opened += status == RT_OK;
        refused += status != RT_OK;
    }
    CHECK(opened > 1000);
}

static void runtimes_until_memory_is_out(void)
{
    size_t made = 0, refused = 0;
    memory_limit(ROOM);
    while (refused < 100) {
        rt_runtime *runtime = NULL;
        rt_status status = rt_runtime_new(long_name, &runtime);
        CHECK(status == RT_OK || status == RT_ERR_NO_MEMORY);
        made += status == RT_OK;
        refused += status != RT_OK;
    }
    CHECK(made > 1000);
}

int main(void)
{
    const char *preload = getenv("LD_PRELOAD");
    memset(long_name, 'n', sizeof long_name - 1);
    RUN(a_buffer_larger_than_any_memory_is_refused);
    if (preload != NULL && strstr(preload, "valgrind") != NULL) {
        printf("skipped what sets a limit: valgrind shares the limit of its process\n");
        return check_done();
    }
    RUN(a_buffer_that_cannot_be_had_is_refused);
    RUN(a_record_too_large_for_memory_is_accepted_whole_or_not_at_all);
    RUN(at_exit_callbacks);
    RUN(at_exit_callbacks_with_names);
    RUN(exit_functions);
    RUN(pending_calls);
    RUN(handlers);
    RUN(objects);
    RUN(writers_until_memory_is_out);
    RUN(runtimes_until_memory_is_out);
    return check_done();
}
