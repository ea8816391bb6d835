/*
 * A process that has no memory left finalizes: out of the library's reserve, or, where that is not enough, not at
 * all, but then every accepted byte is written and the call says so.
 */
#include "destination.h"
#include "scarce.h"

#include <malloc.h>

static int called, heard;

static int ends_well(void *arg)
{
    (void)arg;
    called++;
    return 0;
}

static int fails(void *arg)
{
    (void)arg;
    called++;
    return -1;
}

static int32_t hear(const rt_event *event, void *arg)
{
    (void)arg;
    heard += event->kind == RT_EVENT_PHASE_END;
    return 0;
}

static void a_finalization_needs_no_memory_but_the_reserve(void)
{
    int out = accept_bytes(NULL, 0, 1000, NULL);
    void **taken;
    CHECK_EQ(rt_atexit(NULL, "ends well", ends_well, NULL, NULL), RT_OK);
    taken = memory_none();
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
    memory_again(taken);
    CHECK_EQ(called, 1);
    check_arrived(out, 0, 1000);
}

static void all_that_is_registered_is_seen_to_and_what_cannot_be_noted_is_counted(void)
{
    enum { FAILURES = 300 };
    rt_finalize_options options = options_none();
    rt_handler_options beside;
    rt_runtime *child;
    rt_overlapped *op;
    rt_view *view;
    rt_guard *guard;
    rt_report *report = NULL;
    void **taken;
    int out, of_child, i, ends[2];
    memset(&beside, 0, sizeof beside);
    beside.struct_size = sizeof beside;
    beside.work = RT_WORK_CONTINUE;
    options.on_event = hear;
    options.deadline_us = 300000;
    options.notice_us = 20000;
    out = accept_bytes(NULL, 0, 1000, NULL);
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &child), RT_OK);
    of_child = accept_bytes(child, 1000, 500, NULL);
    CHECK_EQ(rt_atexit(child, "fails", fails, NULL, NULL), RT_OK);
    for (i = 0; i < FAILURES; i++) {
        CHECK_EQ(rt_atexit(NULL, "fails", fails, NULL, NULL), RT_OK);
        CHECK_EQ(rt_object_track(NULL, "an object", ends_well, ends_well, NULL, NULL), RT_OK);
    }
    pipe_open(ends);
    CHECK_EQ(rt_overlapped_aio_read(NULL, ends[0], 10, 0, "read", &op), RT_OK);
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire_shared(view, "forgotten", &guard), RT_OK);
    CHECK_EQ(rt_phase_add_handler_ex(NULL, RT_PHASE_ATEXIT, "beside", &beside, ends_well, NULL, NULL), RT_OK);
    taken = memory_none();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    memory_again(taken);
    CHECK_EQ(called, FAILURES + 1 + FAILURES); /* no dealloc: the guard's holder may reach the objects */
    CHECK(heard > 0);
    check_arrived(out, 0, 1000);
    check_arrived(of_child, 1000, 500);
    if (report == NULL) {
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK); /* the same report, now that there is memory */
    }
    CHECK(summary_of(report).failures + summary_of(report).unnoted >= FAILURES);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void where_it_needs_more_every_byte_is_written_and_the_call_can_be_made_again(void)
{
    enum { WRITERS = 400 };
    static int out[WRITERS];
    rt_runtime *child;
    rt_status status;
    void **taken;
    size_t i;
    int of_child;
    CHECK_EQ(rt_atexit(NULL, "ends well", ends_well, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &child), RT_OK);
    of_child = accept_bytes(child, 7, 500, NULL);
    for (i = 0; i < WRITERS; i++) {
        out[i] = accept_bytes(NULL, i, 100, NULL);
    }
    taken = memory_none();
    status = rt_finalize(NULL, NULL, NULL);
    for (i = 0; i < WRITERS; i++) {
        unsigned char part[200];
        CHECK_EQ(read(out[i], part, sizeof part), 100);
        CHECK(memcmp(part, stream(i, 100), 100) == 0);
    }
    CHECK(strstr(rt_last_error(), "every accepted byte is written, and nothing else was done") != NULL);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
    CHECK_EQ(called, 0);
    memory_again(taken);
    CHECK_EQ(status, RT_ERR_NO_MEMORY);
    check_arrived(of_child, 7, 500);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
    CHECK_EQ(called, 1);
}

static int never_returns(void *arg)
{
    for (;;) {
        pause();
    }
    return arg != NULL;
}

static void **taken_by_callback;

static int takes_all_memory(void *arg)
{
    (void)arg;
    taken_by_callback = memory_none();
    return 0;
}

static void a_callback_that_uses_up_the_memory_does_not_keep_the_rest_from_being_done(void)
{
    static const uint32_t phases[] = {RT_PHASE_ATEXIT, RT_PHASE_FREEZE, RT_PHASE_FINALIZE,
                                      RT_PHASE_RECLAIM};
    size_t i;
    for (i = 0; i < sizeof phases / sizeof *phases; i++) {
        int out;
        NEED(i == 0 || rt_initialize(NULL) == RT_OK);
        out = accept_bytes(NULL, 0, 1000, NULL);
        called = 0;
        CHECK_EQ(rt_phase_add_handler(NULL, phases[i], 0, "takes", takes_all_memory, NULL, NULL),
                 RT_OK);
        CHECK_EQ(rt_exit_function(NULL, "ends well", ends_well, NULL, NULL), RT_OK);
        CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
        memory_again(taken_by_callback);
        CHECK_EQ(called, 1);
        check_arrived(out, 0, 1000);
    }
}

static void without_the_thread_that_ends_the_process_in_time_it_is_not_begun(void)
{
    rt_finalize_options options = options_exiting(300000);
    int out = accept_bytes(NULL, 0, 1000, NULL);
    void **taken;
    rt_status status;
    CHECK_EQ(rt_atexit(NULL, "never returns", never_returns, NULL, NULL), RT_OK);
    taken = memory_none();
    status = rt_finalize(NULL, &options, NULL);
    memory_again(taken);
    CHECK_EQ(status, RT_ERR_NO_MEMORY);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
    check_arrived(out, 0, 1000);
}

static void what_cannot_be_written_is_not_said_to_be_and_not_waited_for_beyond_the_deadline(void)
{
    enum { WRITERS = 400, BOUND_US = 20 * 1000000 };
    rt_finalize_options options = options_with_deadline(100000);
    int64_t began;
    void **taken;
    rt_status status;
    int ends[2], i;
    rt_writer *writer;
    pipe_open(ends);
    pipe_set_nonblocking(ends[1], 1);
    while (write(ends[1], "filled", 6) > 0) {
    }
    pipe_set_nonblocking(ends[1], 0);
    writer = writer_open(NULL, ends[1], "full", 4096, 0);
    CHECK_EQ(rt_writer_write(writer, "stuck", 5), RT_OK);
    for (i = 0; i < WRITERS; i++) {
        accept_bytes(NULL, 0, 1, NULL);
    }
    began = now_us();
    taken = memory_none();
    status = rt_finalize(NULL, &options, NULL);
    CHECK(strstr(rt_last_error(), "not every accepted byte could be written") != NULL);
    memory_again(taken);
    CHECK_EQ(status, RT_ERR_NO_MEMORY);
    CHECK(now_us() - began < BOUND_US);
}

static rt_status status_of_thread;
static event may_finalize = EVENT_INIT;

static void *finalize_on_this_thread(void *arg)
{
    event_wait(&may_finalize);
    status_of_thread = rt_finalize(NULL, NULL, NULL);
    return arg;
}

static void a_thread_that_the_library_does_not_know_finalizes_too(void)
{
    int out;
    pthread_t thread;
    void **taken;
    NEED(mallopt(M_ARENA_MAX, 1) == 1); /* or glibc has nothing for a thread that is new to its heap */
    out = accept_bytes(NULL, 0, 1000, NULL);
    thread = thread_start(finalize_on_this_thread, NULL);
    taken = memory_none();
    event_set(&may_finalize);
    pthread_join(thread, NULL);
    memory_again(taken);
    CHECK_EQ(status_of_thread, RT_OK);
    check_arrived(out, 0, 1000);
}

static void a_default_runtime_that_never_ran_is_no_crash(void)
{
    void **taken = memory_none();
    rt_status status = rt_finalize(NULL, NULL, NULL);
    memory_again(taken);
    CHECK_EQ(status, RT_ERR_NO_MEMORY);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
}

int main(void)
{
    if (under_valgrind()) {
        printf("skipped all: valgrind shares the limit of its process\n");
        return check_done();
    }
    RUN(a_finalization_needs_no_memory_but_the_reserve);
    RUN(all_that_is_registered_is_seen_to_and_what_cannot_be_noted_is_counted);
    RUN(where_it_needs_more_every_byte_is_written_and_the_call_can_be_made_again);
    RUN(a_callback_that_uses_up_the_memory_does_not_keep_the_rest_from_being_done);
    RUN(without_the_thread_that_ends_the_process_in_time_it_is_not_begun);
    RUN(what_cannot_be_written_is_not_said_to_be_and_not_waited_for_beyond_the_deadline);
    RUN(a_thread_that_the_library_does_not_know_finalizes_too);
    RUN(a_default_runtime_that_never_ran_is_no_crash);
    return check_done();
}
