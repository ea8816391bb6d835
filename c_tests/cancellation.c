/*
 * A thread with a cancellation that is pending calls the library: each call comes back, and the thread is
 * cancelled afterwards, in the host's own frames. Threads that end inside callbacks of callbacks.
 */
#include "host.h"

#include <fcntl.h>

typedef struct scene {
    rt_runtime *runtime, *finalized;
    rt_writer *writer;
    rt_view *view;
    rt_thread *thread;
    rt_overlapped *operation;
    rt_report *report;
    rt_buffered_lock lock;
    tube data;
} scene;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int not_yet(void *arg, int64_t us)
{
    (void)arg, (void)us;
    return 1;
}

static void lock_acquire(scene *s) { rt_buffered_lock_acquire(&s->lock); }
static void lock_acquire_timed(scene *s) { rt_buffered_lock_acquire_timed(&s->lock, 1000); }
static void writer_write(scene *s) { rt_writer_write(s->writer, "x\n", 2); }
static void writer_write_timed(scene *s) { rt_writer_write_timed(s->writer, "x\n", 2, 0); }
static void writer_write_more_than_fits(scene *s)
{
    char *large = calloc(1, 1 << 20);
    rt_writer_write(s->writer, large, 1 << 20);
    free(large);
}
static void writer_flush(scene *s) { rt_writer_flush(s->writer, -1); }
static void writer_close(scene *s) { rt_writer_close(s->writer, -1); }
static void writer_abandon(scene *s)
{
    uint64_t lost;
    rt_writer_abandon(s->writer, &lost);
}
static void writer_lock(scene *s) { rt_writer_lock(s->writer); }
static void writer_account(scene *s)
{
    rt_writer_account account = {.struct_size = sizeof account};
    rt_writer_get_account(s->writer, &account);
}
static void writer_open(scene *s)
{
    rt_writer *writer;
    rt_writer_open_fd(s->runtime, STDOUT_FILENO, NULL, &writer);
}
static void thread_attach(scene *s)
{
    rt_thread *thread;
    rt_thread_attach(s->finalized, NULL, &thread);
}
static void thread_enter(scene *s) { rt_thread_enter(s->thread); }
static void thread_detach(scene *s) { rt_thread_detach(s->thread); }
static void view_from(scene *s)
{
    rt_view *view;
    rt_view_from(s->runtime, &view);
}
static void guard_acquire(scene *s)
{
    rt_guard *guard;
    rt_guard_acquire(s->view, "g", &guard);
}
static void atexit_register(scene *s) { rt_atexit(s->runtime, "x", nothing, NULL, NULL); }
static void pending_run(scene *s) { rt_pending_run(s->runtime, NULL); }
static void add_handler(scene *s)
{
    rt_phase_add_handler(s->runtime, RT_PHASE_ATEXIT, 0, "x", nothing, NULL, NULL);
}
static void object_track(scene *s) { rt_object_track(s->runtime, "x", nothing, NULL, NULL, NULL); }
static void overlapped_wait(scene *s) { rt_overlapped_wait(s->operation, 10000); }
static void overlapped_cancel(scene *s) { rt_overlapped_cancel(s->operation); }
static void overlapped_result(scene *s) { rt_overlapped_result(s->operation, NULL); }
static void overlapped_dealloc(scene *s) { rt_overlapped_dealloc(s->operation); }
static void aio_read(scene *s)
{
    rt_overlapped *operation;
    rt_overlapped_aio_read(s->runtime, s->data.out, 1, 0, "read", &operation);
}
static void runtime_new_one(scene *s)
{
    rt_runtime *runtime;
    (void)s;
    rt_runtime_new("another", &runtime);
}
static void set_text(scene *s) { rt_runtime_set_text(s->runtime, "RTFINALIZE_DEADLINE", "5s"); }
static void initialize(scene *s) { rt_initialize(s->finalized); }
static void report_write(scene *s)
{
    rt_report_write(s->report, RT_REPORT_JSON, s->data.in);
}
static void report_free(scene *s) { rt_report_free(s->report); }
static void finalize_all(scene *s) { rt_finalize(s->runtime, NULL, NULL); }
static void finalize_default(scene *s)
{
    (void)s;
    rt_finalize_ex();
}

static const struct call {
    const char *name;
    void (*call)(scene *);
} calls[] = {
#define CALL(name) {#name, name}
    CALL(lock_acquire), CALL(lock_acquire_timed), CALL(writer_write), CALL(writer_write_timed),
    CALL(writer_write_more_than_fits), CALL(writer_flush), CALL(writer_close), CALL(writer_abandon),
    CALL(writer_lock), CALL(writer_account), CALL(writer_open), CALL(thread_attach), CALL(thread_enter),
    CALL(thread_detach), CALL(view_from), CALL(guard_acquire), CALL(atexit_register), CALL(pending_run),
    CALL(add_handler), CALL(object_track), CALL(overlapped_wait), CALL(overlapped_cancel),
    CALL(overlapped_result), CALL(overlapped_dealloc), CALL(aio_read), CALL(runtime_new_one), CALL(set_text),
    CALL(initialize), CALL(report_write), CALL(report_free), CALL(finalize_all), CALL(finalize_default),
#undef CALL
};

static const struct call *call_now;
static volatile int came_back;

static void set_the_scene(scene *s)
{
    static const rt_overlapped_callbacks pending = {
        .struct_size = sizeof pending, .wait = not_yet, .close = nothing};
    static const rt_writer_options owns = {.struct_size = sizeof owns, .flags = RT_WRITER_OWNS_FD};
    memset(s, 0, sizeof *s);
    s->runtime = runtime_new("scene");
    s->finalized = runtime_new("finalized");
    NEED(rt_finalize(s->finalized, NULL, &s->report) == RT_OK);
    NEED(rt_writer_open_fd(s->runtime, open(NULL_DEVICE, O_WRONLY), &owns, &s->writer) == RT_OK);
    NEED(rt_writer_write(s->writer, "accepted\n", 9) == RT_OK);
    NEED(rt_view_from(s->runtime, &s->view) == RT_OK);
    NEED(rt_overlapped_new(s->runtime, &pending, "operation", &s->operation) == RT_OK);
    NEED(rt_pending_add(s->runtime, "call", nothing, NULL, NULL) == RT_OK);
    s->data = tube_open();
}

static void *call_while_cancelled(void *arg)
{
    scene *s = arg;
    NEED(rt_thread_attach(s->runtime, NULL, &s->thread) == RT_OK);
    pthread_cancel(pthread_self());
    call_now->call(s);
    came_back = 1;
    pthread_testcancel();
    return NULL;
}

static void the_call_comes_back_and_the_thread_is_cancelled_after_it(void)
{
    scene s;
    void *end = NULL;
    set_the_scene(&s);
    came_back = 0;
    pthread_join(thread_start(call_while_cancelled, &s), &end);
    CHECK_EQ(came_back, 1);
    CHECK(end == PTHREAD_CANCELED);
    CHECK_EQ(rt_writer_get_account(s.writer, &(rt_writer_account){.struct_size = sizeof(rt_writer_account)}),
             call_now->call == writer_close || call_now->call == writer_abandon ? RT_ERR_HANDLE : RT_OK);
}

/* --- ends inside callbacks of callbacks ------------------------------------------------------------- */

static int end_thread(void *value)
{
    pthread_exit(value);
}

static int outer_came_back, deep;

static int run_what_ends_the_thread(void *value)
{
    CHECK_EQ(rt_pending_add(NULL, "ends its thread", end_thread, value, NULL), RT_OK);
    rt_pending_run(NULL, NULL);
    outer_came_back = 1;
    return 0;
}

static int run_it_further_in(void *value)
{
    if (deep++ < 5) {
        CHECK_EQ(rt_pending_add(NULL, "further in", run_it_further_in, value, NULL), RT_OK);
        rt_pending_run(NULL, NULL);
        outer_came_back = 1;
        return 0;
    }
    return run_what_ends_the_thread(value);
}

static int order[3], ran;

static int note(void *number)
{
    order[ran++] = *(int *)number;
    return 0;
}

static void *finalize_here(void *came_back)
{
    rt_finalize(NULL, NULL, NULL);
    *(int *)came_back = 1;
    return NULL;
}

static void finalize_with(rt_callback outer)
{
    static int numbers[] = {1, 2}, value;
    int came_back = 0;
    void *end = NULL;
    outer_came_back = deep = ran = 0;
    CHECK_EQ(rt_exit_function(NULL, "late", note, &numbers[1], NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "later", note, &numbers[0], NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "outer", outer, &value, NULL), RT_OK);
    pthread_join(thread_start(finalize_here, &came_back), &end);
    CHECK_EQ(outer_came_back, 0);
    CHECK_EQ(came_back, 0);
    CHECK(end == &value);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    CHECK_EQ(ran, 2);
    CHECK(order[0] == 1 && order[1] == 2);
}

static void a_thread_ended_by_the_callback_of_a_callback_leaves_both_and_the_rest_is_done(void)
{
    finalize_with(run_what_ends_the_thread);
}

static void a_thread_ended_six_callbacks_deep_leaves_them_all_and_the_rest_is_done(void)
{
    finalize_with(run_it_further_in);
}

static int cancel_itself(void *arg)
{
    (void)arg;
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return 0;
}

static int run_what_is_cancelled(void *arg)
{
    CHECK_EQ(rt_pending_add(NULL, "is cancelled", cancel_itself, arg, NULL), RT_OK);
    rt_pending_run(NULL, NULL);
    outer_came_back = 1;
    return 0;
}

static void a_thread_cancelled_in_the_callback_of_a_callback_leaves_both(void)
{
    int came_back = 0;
    void *end = NULL;
    outer_came_back = 0;
    CHECK_EQ(rt_atexit(NULL, "outer", run_what_is_cancelled, NULL, NULL), RT_OK);
    pthread_join(thread_start(finalize_here, &came_back), &end);
    CHECK_EQ(outer_came_back, 0);
    CHECK_EQ(came_back, 0);
    CHECK(end == PTHREAD_CANCELED);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
}

int main(void)
{
    for (size_t n = 0; n < sizeof calls / sizeof *calls; n++) {
        char name[128];
        call_now = &calls[n];
        snprintf(name, sizeof name, "%s: %s", call_now->name,
                 "the_call_comes_back_and_the_thread_is_cancelled_after_it");
        check_run(name, the_call_comes_back_and_the_thread_is_cancelled_after_it);
    }
    RUN(a_thread_ended_by_the_callback_of_a_callback_leaves_both_and_the_rest_is_done);
    RUN(a_thread_ended_six_callbacks_deep_leaves_them_all_and_the_rest_is_done);
    RUN(a_thread_cancelled_in_the_callback_of_a_callback_leaves_both);
    return check_done();
}
