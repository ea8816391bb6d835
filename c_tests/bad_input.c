/*
 * Misuse: each gets its own status and a text that says what is wrong, and nothing is lost or corrupted
 * by it. Every test ends with a proof that the library still works.
 */
#include "destination.h"

/* A runtime with a thread and a writer in it still does its whole work. */
static void check_library_works(void)
{
    int ends[2];
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    rt_runtime *runtime = runtime_new("still works");
    rt_thread *thread = attach(runtime, "worker", 1, RT_POLICY_ERROR);
    rt_writer *writer;
    rt_report *report = NULL;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(runtime, ends[1], "log", 100, 0);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 90), 90), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(90, 500), 500), RT_OK);
    CHECK_EQ(rt_thread_leave(thread), RT_OK);
    CHECK_EQ(rt_atexit(runtime, NULL, nothing, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(runtime, NULL, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").written, 590);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 590);
    bytes_free(&got);
    close(ends[0]);
    close(ends[1]);
}

static void a_pointer_that_must_be_given_is_asked_for(void)
{
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    rt_writer_callbacks callbacks;
    rt_writer *writer = NULL;
    rt_report *report = NULL;
    uint32_t number;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    REFUSED(rt_runtime_new("x", NULL), RT_ERR_NULL);
    REFUSED(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, 0, NULL, NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_atexit(NULL, NULL, NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_atexit_unregister(NULL, NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_exit_function(NULL, NULL, NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_pending_add(NULL, NULL, NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_thread_attach(NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_thread_detach(NULL), RT_ERR_NULL);
    REFUSED(rt_thread_enter(NULL), RT_ERR_NULL);
    REFUSED(rt_thread_leave(NULL), RT_ERR_NULL);
    REFUSED(rt_thread_checkpoint(NULL), RT_ERR_NULL);
    rt_buffered_lock_init(NULL);
    REFUSED(rt_buffered_lock_init_for(NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_buffered_lock_acquire(NULL), RT_ERR_NULL);
    REFUSED(rt_buffered_lock_acquire_timed(NULL, 0), RT_ERR_NULL);
    REFUSED(rt_buffered_lock_release(NULL), RT_ERR_NULL);
    REFUSED(rt_buffered_lock_publish_progress(NULL, 1), RT_ERR_NULL);
    REFUSED(rt_buffered_lock_take_progress(NULL, &number), RT_ERR_NULL);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    REFUSED(rt_buffered_lock_take_progress(&lock, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    REFUSED(rt_writer_open_fd(NULL, 1, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_writer_open_callbacks(NULL, NULL, NULL, &writer), RT_ERR_NULL);
    REFUSED(rt_writer_open_callbacks(NULL, &callbacks, NULL, &writer), RT_ERR_NULL);
    callbacks.write = take_all;
    REFUSED(rt_writer_open_callbacks(NULL, &callbacks, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_writer_write(NULL, "x", 1), RT_ERR_NULL);
    REFUSED(rt_writer_write_timed(NULL, "x", 1, 0), RT_ERR_NULL);
    REFUSED(rt_writer_flush(NULL, 0), RT_ERR_NULL);
    REFUSED(rt_writer_lock(NULL), RT_ERR_NULL);
    REFUSED(rt_writer_unlock(NULL), RT_ERR_NULL);
    REFUSED(rt_writer_publish_progress(NULL, 0), RT_ERR_NULL);
    REFUSED(rt_writer_close(NULL, 0), RT_ERR_NULL);
    REFUSED(rt_writer_abandon(NULL, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_writer_open_callbacks(NULL, &callbacks, NULL, &writer), RT_OK);
    REFUSED(rt_writer_write(writer, NULL, 1), RT_ERR_NULL);
    REFUSED(rt_writer_get_account(writer, NULL), RT_ERR_NULL);
    CHECK_EQ(account_of(writer).accepted, 0);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    REFUSED(rt_report_get_summary(report, NULL), RT_ERR_NULL);
    REFUSED(rt_report_get_destination(report, 0, NULL), RT_ERR_NULL);
    REFUSED(rt_report_get_leak(report, 0, NULL), RT_ERR_NOT_FOUND);
    REFUSED(rt_report_get_violation(report, 0, NULL), RT_ERR_NOT_FOUND);
    REFUSED(rt_report_get_left(report, SIZE_MAX, NULL), RT_ERR_NOT_FOUND);
    REFUSED(rt_report_phase_us(NULL, RT_PHASE_FREEZE), RT_ERR_NULL);
    REFUSED(rt_report_format(NULL, RT_REPORT_TEXT, NULL, 0, NULL), RT_ERR_NULL);
    REFUSED(rt_report_write(NULL, RT_REPORT_TEXT, 1), RT_ERR_NULL);
    REFUSED(rt_report_get_summary(NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_runtime_free(NULL), RT_ERR_INVALID);
    CHECK(rt_phase_name(0) == NULL && rt_phase_name(15) == NULL && rt_phase_name(UINT32_MAX) == NULL);
    CHECK(strlen(rt_strerror(12345)) > 0 && strlen(rt_strerror(INT32_MIN)) > 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    check_library_works();
}

static void refuse_as_runtime(rt_runtime *runtime)
{
    rt_writer *writer = NULL;
    rt_thread *thread = NULL;
    rt_report *report = (rt_report *)&writer;
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    REFUSED(rt_runtime_free(runtime), RT_ERR_HANDLE);
    REFUSED(rt_initialize(runtime), RT_ERR_HANDLE);
    REFUSED(rt_runtime_state(runtime), RT_ERR_HANDLE);
    REFUSED(rt_runtime_id(runtime), RT_ERR_HANDLE);
    REFUSED(rt_runtime_set_budget(runtime, RT_PHASE_FREEZE, 0), RT_ERR_HANDLE);
    REFUSED(rt_finalize(runtime, NULL, &report), RT_ERR_HANDLE);
    CHECK(report == NULL);
    REFUSED(rt_phase_add_handler(runtime, 1, 0, NULL, nothing, NULL, NULL), RT_ERR_HANDLE);
    REFUSED(rt_atexit(runtime, NULL, nothing, NULL, NULL), RT_ERR_HANDLE);
    REFUSED(rt_atexit_unregister(runtime, nothing, NULL, NULL), RT_ERR_HANDLE);
    REFUSED(rt_exit_function(runtime, NULL, nothing, NULL, NULL), RT_ERR_HANDLE);
    REFUSED(rt_pending_add(runtime, NULL, nothing, NULL, NULL), RT_ERR_HANDLE);
    REFUSED(rt_pending_run(runtime, NULL), RT_ERR_HANDLE);
    REFUSED(rt_unregister(runtime, 1), RT_ERR_HANDLE);
    REFUSED(rt_thread_attach(runtime, NULL, &thread), RT_ERR_HANDLE);
    REFUSED(rt_buffered_lock_init_for(&lock, runtime), RT_ERR_HANDLE);
    REFUSED(rt_writer_open_fd(runtime, STDOUT_FILENO, NULL, &writer), RT_ERR_HANDLE);
    CHECK(writer == NULL && thread == NULL);
}

static void refuse_as_thread(rt_thread *thread)
{
    REFUSED(rt_thread_detach(thread), RT_ERR_HANDLE);
    REFUSED(rt_thread_enter(thread), RT_ERR_HANDLE);
    REFUSED(rt_thread_leave(thread), RT_ERR_HANDLE);
    REFUSED(rt_thread_checkpoint(thread), RT_ERR_HANDLE);
}

static void refuse_as_writer(rt_writer *writer)
{
    rt_writer_account account;
    uint64_t lost = 7;
    account.struct_size = sizeof account;
    REFUSED(rt_writer_write(writer, "x", 1), RT_ERR_HANDLE);
    REFUSED(rt_writer_write_timed(writer, "x", 1, 0), RT_ERR_HANDLE);
    REFUSED(rt_writer_flush(writer, 0), RT_ERR_HANDLE);
    REFUSED(rt_writer_lock(writer), RT_ERR_HANDLE);
    REFUSED(rt_writer_unlock(writer), RT_ERR_HANDLE);
    REFUSED(rt_writer_publish_progress(writer, 1), RT_ERR_HANDLE);
    REFUSED(rt_writer_get_account(writer, &account), RT_ERR_HANDLE);
    REFUSED(rt_writer_close(writer, 0), RT_ERR_HANDLE);
    REFUSED(rt_writer_abandon(writer, &lost), RT_ERR_HANDLE);
    CHECK_EQ(lost, 7);
}

static void refuse_as_report(rt_report *report)
{
    rt_report_summary summary;
    rt_report_destination destination;
    rt_report_leak leak;
    rt_report_violation violation;
    rt_report_left left;
    size_t needed = 7;
    summary.struct_size = sizeof summary;
    destination.struct_size = sizeof destination;
    leak.struct_size = sizeof leak;
    violation.struct_size = sizeof violation;
    left.struct_size = sizeof left;
    REFUSED(rt_report_get_violation(report, 0, &violation), RT_ERR_HANDLE);
    REFUSED(rt_report_get_left(report, 0, &left), RT_ERR_HANDLE);
    REFUSED(rt_report_get_summary(report, &summary), RT_ERR_HANDLE);
    REFUSED(rt_report_phase_us(report, RT_PHASE_FREEZE), RT_ERR_HANDLE);
    REFUSED(rt_report_get_destination(report, 0, &destination), RT_ERR_HANDLE);
    REFUSED(rt_report_get_leak(report, 0, &leak), RT_ERR_HANDLE);
    REFUSED(rt_report_format(report, RT_REPORT_TEXT, NULL, 0, &needed), RT_ERR_HANDLE);
    REFUSED(rt_report_write(report, RT_REPORT_TEXT, STDOUT_FILENO), RT_ERR_HANDLE);
    REFUSED(rt_report_free(report), RT_ERR_HANDLE);
    CHECK_EQ(needed, 7);
}

static void refuse_as_anything(void *handle)
{
    refuse_as_runtime((rt_runtime *)handle);
    refuse_as_thread((rt_thread *)handle);
    refuse_as_writer((rt_writer *)handle);
    refuse_as_report((rt_report *)handle);
}

static void a_made_up_handle_is_told_from_a_live_one(void)
{
    int on_stack = 0, null = open(NULL_DEVICE, O_WRONLY);
    rt_report *report = NULL;
    rt_runtime *runtime = runtime_new("live");
    rt_thread *thread = attach(runtime, "live", 1, 0);
    rt_writer *writer = writer_open(runtime, null, "live", 0, 0);
    void *made_up[] = {(void *)1, (void *)2, (void *)3, (void *)0xdeadbeef, (void *)-1, (void *)-2,
                       (void *)((uintptr_t)1 << 32 | 1), &on_stack, made_up, (void *)(uintptr_t)nothing,
                       (char *)&on_stack + 1};
    size_t i;
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    for (i = 0; i < sizeof made_up / sizeof *made_up; i++) {
        refuse_as_anything(made_up[i]);
    }
    /* One kind of handle is none of another kind. */
    refuse_as_runtime((rt_runtime *)writer);
    refuse_as_runtime((rt_runtime *)report);
    refuse_as_runtime((rt_runtime *)thread);
    refuse_as_thread((rt_thread *)writer);
    refuse_as_thread((rt_thread *)report);
    refuse_as_thread((rt_thread *)runtime);
    refuse_as_writer((rt_writer *)runtime);
    refuse_as_writer((rt_writer *)report);
    refuse_as_writer((rt_writer *)thread);
    refuse_as_report((rt_report *)runtime);
    refuse_as_report((rt_report *)writer);
    refuse_as_report((rt_report *)thread);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    check_library_works();
}

static void a_handle_is_freed_once_and_dead_afterwards_also_when_its_place_is_used_again(void)
{
    int null = open(NULL_DEVICE, O_WRONLY), round;
    rt_runtime *runtime, *old_runtime = NULL;
    rt_thread *thread, *old_thread = NULL;
    rt_writer *writer, *old_writer = NULL;
    rt_report *report, *old_report = NULL;
    for (round = 0; round < 3; round++) {
        runtime = runtime_new("x");
        thread = attach(runtime, "x", 1, 0);
        writer = writer_open(runtime, null, "x", 0, 0);
        report = NULL;
        if (round > 0) {
            refuse_as_runtime(old_runtime);
            refuse_as_thread(old_thread);
            refuse_as_writer(old_writer);
            refuse_as_report(old_report);
        }
        REFUSED(rt_runtime_free(runtime), RT_ERR_STATE);
        REFUSED(rt_initialize(runtime), RT_ERR_STATE);
        CHECK_EQ(rt_thread_detach(thread), RT_OK);
        CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
        CHECK_EQ(rt_finalize(runtime, NULL, &report), RT_OK);
        CHECK_EQ(rt_report_free(report), RT_OK);
        CHECK_EQ(rt_runtime_free(runtime), RT_OK);
        old_runtime = runtime;
        old_thread = thread;
        old_writer = writer;
        old_report = report;
        refuse_as_runtime(runtime);
        refuse_as_thread(thread);
        refuse_as_writer(writer);
        refuse_as_report(report);
    }
    check_library_works();
}

typedef struct foreign {
    rt_thread *thread;
    rt_buffered_lock *lock;
    rt_writer *writer;
} foreign;

static void *use_what_is_anothers(void *arg)
{
    foreign *f = (foreign *)arg;
    uint32_t taken;
    REFUSED(rt_thread_enter(f->thread), RT_ERR_WRONG_THREAD);
    REFUSED(rt_thread_leave(f->thread), RT_ERR_WRONG_THREAD);
    REFUSED(rt_thread_checkpoint(f->thread), RT_ERR_WRONG_THREAD);
    REFUSED(rt_thread_detach(f->thread), RT_ERR_WRONG_THREAD);
    REFUSED(rt_buffered_lock_release(f->lock), RT_ERR_NOT_OWNER);
    REFUSED(rt_buffered_lock_publish_progress(f->lock, 1), RT_ERR_NOT_OWNER);
    REFUSED(rt_buffered_lock_take_progress(f->lock, &taken), RT_ERR_NOT_OWNER);
    REFUSED(rt_buffered_lock_acquire_timed(f->lock, 0), RT_ERR_TIMEOUT);
    REFUSED(rt_writer_unlock(f->writer), RT_ERR_NOT_OWNER);
    REFUSED(rt_writer_publish_progress(f->writer, 1), RT_ERR_NOT_OWNER);
    REFUSED(rt_writer_write_timed(f->writer, "x", 1, 0), RT_ERR_TIMEOUT);
    return NULL;
}

static void what_belongs_to_another_thread_is_refused(void)
{
    int null = open(NULL_DEVICE, O_WRONLY);
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    foreign f = {attach(NULL, "owner", 1, 0), &lock, writer_open(NULL, null, "log", 0, 0)};
    CHECK_EQ(rt_thread_enter(f.thread), RT_OK);
    REFUSED(rt_thread_enter(f.thread), RT_ERR_STATE);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    REFUSED(rt_buffered_lock_acquire(&lock), RT_ERR_REENTRANT);
    CHECK_EQ(rt_writer_lock(f.writer), RT_OK);
    pthread_join(thread_start(use_what_is_anothers, &f), NULL);
    CHECK_EQ(rt_writer_unlock(f.writer), RT_OK);
    REFUSED(rt_writer_unlock(f.writer), RT_ERR_NOT_OWNER);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    REFUSED(rt_buffered_lock_release(&lock), RT_ERR_NOT_OWNER);
    CHECK_EQ(rt_thread_leave(f.thread), RT_OK);
    REFUSED(rt_thread_leave(f.thread), RT_ERR_STATE);
    CHECK_EQ(rt_thread_detach(f.thread), RT_OK);
    CHECK_EQ(rt_writer_close(f.writer, 0), RT_OK);
    check_library_works();
}

static rt_status finalize_result;
static rt_runtime *child_runtime;

static int finalize_again(void *arg)
{
    rt_report *report = NULL;
    (void)arg;
    finalize_result = rt_finalize(NULL, NULL, &report);
    REFUSED(finalize_result, RT_ERR_IN_CALLBACK);
    CHECK(report == NULL);
    CHECK_EQ(rt_finalize_ex(), -1);
    REFUSED(rt_initialize(NULL), RT_ERR_STATE);
    return 0;
}

static void finalize_from_inside_a_callback_is_refused(void)
{
    uint32_t phase;
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &child_runtime), RT_OK);
    CHECK_EQ(rt_pending_add(NULL, NULL, finalize_again, NULL, NULL), RT_OK);
    CHECK_EQ(rt_pending_run(NULL, NULL), RT_OK);
    CHECK_EQ(finalize_result, RT_ERR_IN_CALLBACK);
    finalize_result = RT_OK;
    CHECK_EQ(rt_pending_add(child_runtime, NULL, finalize_again, NULL, NULL), RT_OK);
    CHECK_EQ(rt_pending_run(child_runtime, NULL), RT_OK);
    CHECK_EQ(finalize_result, RT_ERR_IN_CALLBACK);
    CHECK_EQ(rt_atexit(NULL, NULL, finalize_again, NULL, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, NULL, finalize_again, NULL, NULL), RT_OK);
    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK_EQ(rt_phase_add_handler(NULL, phase, 0, NULL, finalize_again, NULL, NULL), RT_OK);
    }
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_finalize(child_runtime, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(child_runtime), RT_OK);
    check_library_works();
}

int main(void)
{
    RUN(a_pointer_that_must_be_given_is_asked_for);
    RUN(a_made_up_handle_is_told_from_a_live_one);
    RUN(a_handle_is_freed_once_and_dead_afterwards_also_when_its_place_is_used_again);
    RUN(what_belongs_to_another_thread_is_refused);
    RUN(finalize_from_inside_a_callback_is_refused);
    return check_done();
}
