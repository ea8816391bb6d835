/*
 * Values no call can use: sizes, times, structs of other versions, names, flags, descriptors. Each has
 * its status and a text that says what is wrong, and changes nothing.
 */
#include "destination.h"

static void sizes_near_the_largest_are_refused_and_accept_nothing(void)
{
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, (size_t)PTRDIFF_MAX + 1};
    int ends[2];
    size_t i;
    rt_writer *writer, *none = NULL;
    rt_writer_options options = writer_options("huge", 0, 0);
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 0, 0);
    for (i = 0; i < sizeof huge / sizeof *huge; i++) {
        REFUSED(rt_writer_write(writer, "x", huge[i]), RT_ERR_SIZE);
        REFUSED(rt_writer_write_timed(writer, "x", huge[i], 0), RT_ERR_SIZE);
        REFUSED(rt_writer_write(writer, NULL, huge[i]), RT_ERR_NULL);
        options.capacity = huge[i];
        REFUSED(rt_writer_open_fd(NULL, ends[1], &options, &none), RT_ERR_SIZE);
        REFUSED(rt_writer_publish_progress(writer, huge[i]), RT_ERR_NOT_OWNER);
    }
    options.capacity = PTRDIFF_MAX;
    REFUSED(rt_writer_open_fd(NULL, ends[1], &options, &none), RT_ERR_NO_MEMORY);
    CHECK(none == NULL);
    CHECK_EQ(rt_writer_write(writer, NULL, 0), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "x", 0), RT_OK);
    CHECK_EQ(account_of(writer).accepted, 0);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    options.capacity = 1;
    CHECK_EQ(rt_writer_open_fd(NULL, ends[1], &options, &writer), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "abc", 3), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
}

/* A thread that waits, first for a lock and then for a pipe, with an extreme timeout. */
typedef struct waiter {
    rt_buffered_lock *lock;
    rt_writer *writer;
    int64_t timeout;
    event begun;
    pid_t tid;
} waiter;

static void *wait_with_timeout(void *arg)
{
    waiter *w = (waiter *)arg;
    w->tid = my_tid();
    event_set(&w->begun);
    CHECK_EQ(rt_buffered_lock_acquire_timed(w->lock, w->timeout), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(w->lock), RT_OK);
    CHECK_EQ(rt_writer_write_timed(w->writer, stream(0, 100), 100, w->timeout), RT_OK);
    CHECK_EQ(rt_writer_flush(w->writer, w->timeout), RT_OK);
    return NULL;
}

static void a_negative_timeout_waits_indefinitely_and_so_does_a_huge_one(void)
{
    static const int64_t timeouts[] = {-1, -1000, INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1};
    size_t i;
    for (i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
        int ends[2];
        waiter fresh = {NULL, NULL, 0, EVENT_INIT, 0}, w = fresh;
        pthread_t thread;
        bytes got = {0};
        pipe_open(ends);
        w.lock = &lock;
        w.timeout = timeouts[i];
        w.writer = writer_open(NULL, ends[1], "log", 100, 0);
        CHECK_EQ(rt_writer_write(w.writer, stream(0, PIPE_SIZE), PIPE_SIZE), RT_OK);
        CHECK_EQ(rt_writer_write(w.writer, stream(0, 100), 100), RT_OK);
        CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
        thread = thread_start(wait_with_timeout, &w);
        event_wait(&w.begun);
        wait_until_asleep(w.tid);
        CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
        read_most(ends[0], &got, PIPE_SIZE + 200);
        pthread_join(thread, NULL);
        CHECK_EQ(rt_writer_close(w.writer, timeouts[i]), RT_OK);
        bytes_free(&got);
        close(ends[0]);
        close(ends[1]);
    }
}

static void extreme_times_in_the_options_are_refused_or_mean_what_they_say(void)
{
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 1, INT64_MAX - 1, INT64_MAX};
    size_t i;
    uint32_t phase;
    for (i = 0; i < sizeof extremes / sizeof *extremes; i++) {
        rt_runtime *runtime = runtime_new("x");
        rt_finalize_options options = options_none();
        for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
            CHECK_EQ(rt_runtime_set_budget(runtime, phase, extremes[i]), RT_OK);
        }
        REFUSED(rt_runtime_set_budget(runtime, 0, 1), RT_ERR_INVALID);
        REFUSED(rt_runtime_set_budget(runtime, 15, 1), RT_ERR_INVALID);
        REFUSED(rt_runtime_set_budget(runtime, UINT32_MAX, 1), RT_ERR_INVALID);
        if (extremes[i] < 0) {
            options.grace_us = extremes[i];
            REFUSED(rt_finalize(runtime, &options, NULL), RT_ERR_INVALID);
            options.grace_us = 0;
            options.join_us = extremes[i];
            REFUSED(rt_finalize(runtime, &options, NULL), RT_ERR_INVALID);
            options.join_us = 0;
        } else {
            options.grace_us = extremes[i];
            options.join_us = extremes[i];
        }
        options.reserved = 1;
        REFUSED(rt_finalize(runtime, &options, NULL), RT_ERR_INVALID);
        CHECK_EQ(rt_runtime_state(runtime), RT_STATE_RUNNING);
        options.reserved = 0;
        options.deadline_us = extremes[i] == 1 ? 10000000 : extremes[i];
        options.notice_us = extremes[i];
        options.max_passes = extremes[i] < 0 ? UINT32_MAX : 1;
        CHECK_EQ(rt_finalize(runtime, &options, NULL), RT_OK);
        CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    }
}

/*
 * Structs of other versions. `given` is as this header has it, its first version was `first` bytes; it
 * is passed to `call` with other sizes and with bytes behind it.
 */
typedef rt_status (*versioned_call)(void *argument);

static void check_versions_in(const void *given, size_t size, size_t first, versioned_call call,
                              rt_status fine)
{
    static const size_t wrong[] = {0, 1, sizeof(size_t), 5000, 1u << 30, SIZE_MAX};
    union {
        size_t struct_size;
        unsigned char data[4096];
    } big;
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(&big, 0, sizeof big);
        memcpy(&big, given, size);
        big.struct_size = wrong[i];
        REFUSED(call(&big), RT_ERR_STRUCT_SIZE);
    }
    big.struct_size = first - 1; /* no first version is smaller */
    REFUSED(call(&big), RT_ERR_STRUCT_SIZE);
    big.struct_size = first;
    CHECK_EQ(call(&big), fine);
    big.struct_size = size + 24; /* a newer header, with a field this library does not know */
    big.data[size + 23] = 1;
    REFUSED(call(&big), RT_ERR_STRUCT_SIZE);
    big.data[size + 23] = 0;
    CHECK_EQ(call(&big), fine);
    big.struct_size = sizeof big;
    CHECK_EQ(call(&big), fine);
}

/* Of a struct that is filled, what a newer version has more is zeroed, and nothing behind is touched. */
static void check_versions_out(size_t size, versioned_call call)
{
    static const size_t wrong[] = {0, 1, sizeof(size_t), 5000, SIZE_MAX};
    union {
        size_t struct_size;
        unsigned char data[4096];
    } big;
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(&big, '#', sizeof big);
        big.struct_size = wrong[i];
        REFUSED(call(&big), RT_ERR_STRUCT_SIZE);
        CHECK_EQ(big.struct_size, wrong[i]);
        CHECK_EQ(big.data[sizeof(size_t)], '#');
    }
    big.struct_size = size;
    CHECK_EQ(call(&big), RT_OK);
    CHECK_EQ(big.data[size], '#');
    memset(&big, '#', sizeof big);
    big.struct_size = size + 24;
    CHECK_EQ(call(&big), RT_OK);
    CHECK_EQ(big.struct_size, size + 24);
    CHECK_EQ(big.data[size] + big.data[size + 23], 0);
    CHECK_EQ(big.data[size + 24], '#');
}

static rt_writer *a_writer;
static rt_report *a_report;
static rt_runtime *a_runtime;

static rt_status with_finalize_options(void *options)
{
    rt_status status;
    rt_runtime *runtime = runtime_new("x");
    status = rt_finalize(runtime, (rt_finalize_options *)options, NULL);
    if (status != RT_OK) {
        CHECK_EQ(rt_runtime_state(runtime), RT_STATE_RUNNING);
        CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
        /* What the caller looks at is the first one's error. */
        CHECK_EQ(rt_finalize(NULL, (rt_finalize_options *)options, NULL), status);
    }
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    return status;
}

static rt_status with_thread_options(void *options)
{
    rt_thread *thread = NULL;
    rt_status status = rt_thread_attach(NULL, (rt_thread_options *)options, &thread);
    if (status == RT_OK) {
        CHECK_EQ(rt_thread_detach(thread), RT_OK);
    }
    return status;
}

static rt_status with_writer_options(void *options)
{
    rt_writer *writer = NULL;
    rt_status status = rt_writer_open_fd(NULL, STDOUT_FILENO, (rt_writer_options *)options, &writer);
    if (status == RT_OK) {
        CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    }
    return status;
}

static rt_status with_callbacks(void *callbacks)
{
    rt_writer *writer = NULL;
    rt_status status = rt_writer_open_callbacks(NULL, (rt_writer_callbacks *)callbacks, NULL, &writer);
    if (status == RT_OK) {
        CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    }
    return status;
}

static rt_status into_account(void *account)
{
    return rt_writer_get_account(a_writer, (rt_writer_account *)account);
}

static rt_status into_summary(void *summary)
{
    return rt_report_get_summary(a_report, (rt_report_summary *)summary);
}

static rt_status into_destination(void *destination)
{
    return rt_report_get_destination(a_report, 0, (rt_report_destination *)destination);
}

static void structs_of_every_version_are_told_apart(void)
{
    rt_finalize_options finalize_options = options_none();
    rt_thread_options thread_options;
    rt_writer_options a_writers_options = writer_options("x", 10, 0);
    rt_writer_callbacks callbacks;
    memset(&thread_options, 0, sizeof thread_options);
    thread_options.struct_size = sizeof thread_options;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.write = take_all;
    check_versions_in(&finalize_options, sizeof finalize_options,
                      offsetof(rt_finalize_options, exit_code), with_finalize_options, RT_OK);
    check_versions_in(&thread_options, sizeof thread_options, offsetof(rt_thread_options, work),
                      with_thread_options, RT_OK);
    check_versions_in(&a_writers_options, sizeof a_writers_options, sizeof a_writers_options,
                      with_writer_options, RT_OK);
    check_versions_in(&callbacks, sizeof callbacks, sizeof callbacks, with_callbacks, RT_OK);
    a_runtime = runtime_new("x");
    a_writer = writer_open(a_runtime, STDOUT_FILENO, "x", 0, 0);
    check_versions_out(sizeof(rt_writer_account), into_account);
    CHECK_EQ(rt_finalize(a_runtime, NULL, &a_report), RT_OK);
    check_versions_out(sizeof(rt_report_summary), into_summary);
    check_versions_out(sizeof(rt_report_destination), into_destination);
    CHECK_EQ(rt_report_free(a_report), RT_OK);
    CHECK_EQ(rt_writer_close(a_writer, 0), RT_OK);
    CHECK_EQ(rt_runtime_free(a_runtime), RT_OK);
}

static void a_name_that_is_not_utf8_is_refused_and_registers_nothing(void)
{
    static const char *const names[] = {"\xff", "ok\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf5\x80\x80\x80"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        rt_runtime *runtime = NULL;
        rt_writer *writer = NULL;
        rt_thread *thread = NULL;
        rt_thread_options options;
        rt_writer_options a_writers_options = writer_options(names[i], 0, 0);
        uint64_t id = 7;
        memset(&options, 0, sizeof options);
        options.struct_size = sizeof options;
        options.name = names[i];
        REFUSED(rt_runtime_new(names[i], &runtime), RT_ERR_UTF8);
        REFUSED(rt_phase_add_handler(NULL, 1, 0, names[i], nothing, NULL, &id), RT_ERR_UTF8);
        REFUSED(rt_atexit(NULL, names[i], nothing, NULL, &id), RT_ERR_UTF8);
        REFUSED(rt_exit_function(NULL, names[i], nothing, NULL, &id), RT_ERR_UTF8);
        REFUSED(rt_pending_add(NULL, names[i], nothing, NULL, &id), RT_ERR_UTF8);
        REFUSED(rt_thread_attach(NULL, &options, &thread), RT_ERR_UTF8);
        REFUSED(rt_writer_open_fd(NULL, STDOUT_FILENO, &a_writers_options, &writer), RT_ERR_UTF8);
        CHECK(runtime == NULL && writer == NULL && thread == NULL && id == 7);
    }
}

static void what_is_no_flag_policy_phase_or_registration_is_refused(void)
{
    static const uint32_t none[] = {8, 0x80000000u, UINT32_MAX};
    size_t i, removed = 7;
    uint64_t id = 0;
    rt_writer *writer = NULL;
    rt_thread *thread = NULL;
    rt_thread_options options;
    rt_writer_options a_writers_options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    for (i = 0; i < sizeof none / sizeof *none; i++) {
        options.policy = none[i];
        REFUSED(rt_thread_attach(NULL, &options, &thread), RT_ERR_INVALID);
        a_writers_options = writer_options("x", 0, none[i]);
        REFUSED(rt_writer_open_fd(NULL, STDOUT_FILENO, &a_writers_options, &writer), RT_ERR_INVALID);
        a_writers_options = writer_options("x", 0, 0);
        a_writers_options.reserved = none[i];
        REFUSED(rt_writer_open_fd(NULL, STDOUT_FILENO, &a_writers_options, &writer), RT_ERR_INVALID);
        REFUSED(rt_phase_add_handler(NULL, none[i] | 15, 0, NULL, nothing, NULL, &id), RT_ERR_INVALID);
        REFUSED(rt_unregister(NULL, none[i]), RT_ERR_NOT_FOUND);
    }
    REFUSED(rt_phase_add_handler(NULL, 0, 0, NULL, nothing, NULL, &id), RT_ERR_INVALID);
    CHECK(writer == NULL && thread == NULL && id == 0);
    CHECK_EQ(rt_atexit_unregister(NULL, nothing, NULL, &removed), RT_OK);
    CHECK_EQ(removed, 0);
    CHECK_EQ(rt_atexit(NULL, NULL, nothing, NULL, &id), RT_OK);
    CHECK_EQ(rt_unregister(NULL, id), RT_OK);
    REFUSED(rt_unregister(NULL, id), RT_ERR_NOT_FOUND);
    REFUSED(rt_unregister(NULL, UINT64_MAX), RT_ERR_NOT_FOUND);
}

static void a_descriptor_that_cannot_be_written_is_refused(void)
{
#ifdef _WIN32
    int ends[2], closed = dup(STDOUT_FILENO), directory = -2, path = open("NUL", O_RDONLY);
#else
    int ends[2], closed = dup(STDOUT_FILENO), directory = open("/", O_RDONLY | O_DIRECTORY),
        path = open("/", O_PATH);
#endif
    size_t i;
    rt_writer *writer = NULL;
    pipe_open(ends);
    close(closed);
    {
        int bad[] = {-1, INT32_MIN, INT32_MAX, closed, ends[0], directory, path};
        for (i = 0; i < sizeof bad / sizeof *bad; i++) {
            REFUSED(rt_writer_open_fd(NULL, bad[i], NULL, &writer), RT_ERR_BAD_DESCRIPTOR);
            CHECK(writer == NULL);
        }
    }
}

int main(void)
{
    RUN(sizes_near_the_largest_are_refused_and_accept_nothing);
    RUN(a_negative_timeout_waits_indefinitely_and_so_does_a_huge_one);
    RUN(extreme_times_in_the_options_are_refused_or_mean_what_they_say);
    RUN(structs_of_every_version_are_told_apart);
    RUN(a_name_that_is_not_utf8_is_refused_and_registers_nothing);
    RUN(what_is_no_flag_policy_phase_or_registration_is_refused);
    RUN(a_descriptor_that_cannot_be_written_is_refused);
    return check_done();
}
