/*
 * What an event callback hears while a finalization runs, on which thread, and what it may do.
 */
#include "destination.h"
#include "diary.h"

static int run_again(void *arg)
{
    CHECK_EQ(rt_pending_add((rt_runtime *)arg, NULL, nothing, NULL, NULL), RT_OK);
    return 0;
}

static void phases_begin_and_end_in_their_order(void)
{
    static diary d = DIARY_INIT;
    rt_runtime *runtime = runtime_new("app");
    rt_finalize_options options = options_telling(&d);
    uint32_t phase = 0, open = 0, pass = 1;
    size_t i;
    /* An at-exit callback that asks for a pending call: there is another pass for that. */
    CHECK_EQ(rt_atexit(runtime, NULL, run_again, runtime, NULL), RT_OK);
    CHECK_EQ(rt_finalize(runtime, &options, NULL), RT_OK);
    for (i = 0; i < d.count; i++) {
        const told *t = &d.all[i];
        CHECK_EQ(t->on, my_tid());
        CHECK_EQ(t->event.runtime_id, rt_runtime_id(runtime));
        CHECK(strcmp(t->runtime, "app") == 0);
        CHECK(strcmp(t->name, rt_phase_name(t->event.phase)) == 0);
        CHECK_EQ(t->event.subject, RT_SUBJECT_RUNTIME);
        CHECK_EQ(t->event.thread, 0);
        if (t->event.kind == RT_EVENT_PHASE_BEGIN) {
            CHECK_EQ(open, 0);
            if (t->event.phase == RT_PHASE_GUARDS && phase == RT_PHASE_ATEXIT) {
                pass++;
            } else {
                CHECK_EQ(t->event.phase, phase + 1);
            }
            open = phase = t->event.phase;
        } else {
            CHECK_EQ(t->event.kind, RT_EVENT_PHASE_END);
            CHECK_EQ(t->event.phase, open);
            CHECK_EQ(t->event.since_us, d.all[i - 1].event.since_us);
            open = 0;
        }
        CHECK_EQ(t->event.count, phase <= RT_PHASE_ATEXIT ? pass : 1);
    }
    CHECK_EQ(phase, RT_PHASE_EXIT_FUNCTIONS);
    CHECK_EQ(open, 0);
    CHECK(pass > 1);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static void the_phases_of_a_child_are_within_its_parents(void)
{
    static diary d = DIARY_INIT;
    rt_runtime *child = NULL;
    rt_runtime_options born_with = {sizeof born_with, "worker", 0, 0};
    rt_finalize_options options = options_telling(&d);
    int within = 0, of_child = 0;
    size_t i;
    CHECK_EQ(rt_runtime_new_child(NULL, &born_with, &child), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    for (i = 0; i < d.count; i++) {
        const told *t = &d.all[i];
        if (t->event.runtime_id == (uint32_t)rt_runtime_id(child)) {
            CHECK(within);
            CHECK(strcmp(t->runtime, "worker") == 0);
            of_child++;
        } else if (t->event.phase == RT_PHASE_CHILDREN) {
            within = t->event.kind == RT_EVENT_PHASE_BEGIN;
        }
    }
    CHECK(of_child >= 2 * RT_PHASE_EXIT_FUNCTIONS);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

/* A daemon thread that takes a lock and is parked with it when the runtime freezes. */
typedef struct parked {
    rt_buffered_lock lock;
    rt_writer *writer;
    pid_t tid;
    event holds;
} parked;

static void *be_parked(void *arg)
{
    parked *p = (parked *)arg;
    rt_thread *thread = attach(NULL, "stubborn", 1, RT_POLICY_HANG);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    p->tid = my_tid();
    if (p->writer != NULL) {
        CHECK_EQ(rt_writer_lock(p->writer), RT_OK);
        CHECK_EQ(rt_writer_write(p->writer, "12345", 5), RT_OK);
    } else {
        CHECK_EQ(rt_buffered_lock_acquire(&p->lock), RT_OK);
    }
    event_set(&p->holds);
    for (;;) {
        rt_thread_checkpoint(thread);
    }
    return NULL;
}

static int take_over(void *lock)
{
    CHECK_EQ(rt_buffered_lock_acquire((rt_buffered_lock *)lock), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_release((rt_buffered_lock *)lock), RT_OK);
    return 0;
}

static void a_lock_taken_over_is_told_with_its_former_owner(void)
{
    static diary d = DIARY_INIT;
    static parked p = {RT_BUFFERED_LOCK_INIT, NULL, 0, EVENT_INIT};
    rt_finalize_options options = options_telling(&d);
    const told *t;
    thread_start(be_parked, &p);
    event_wait(&p.holds);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "take", take_over, &p.lock, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(diary_count(&d, RT_EVENT_RECOVERY), 1);
    t = diary_find(&d, RT_EVENT_RECOVERY, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_LOCK);
    CHECK_EQ(t->event.phase, RT_PHASE_FINALIZE);
    CHECK_EQ(t->event.thread, p.tid);
    CHECK(strcmp(t->thread_name, "stubborn") == 0);
    CHECK(strstr(t->text, "taken over from thread 'stubborn'") != NULL);
    CHECK_EQ(t->event.count, 1);
    CHECK_EQ(t->on, my_tid());
}

static void a_writer_taken_over_is_told_with_its_bytes(void)
{
    static diary d = DIARY_INIT;
    static parked p = {RT_BUFFERED_LOCK_INIT, NULL, 0, EVENT_INIT};
    rt_finalize_options options = options_telling(&d);
    int ends[2];
    bytes got = {0};
    const told *t;
    pipe_open(ends);
    p.writer = writer_open(NULL, ends[1], "access.log", 1000, 0);
    thread_start(be_parked, &p);
    event_wait(&p.holds);
    options.grace_us = 30 * 1000000;
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(diary_count(&d, RT_EVENT_RECOVERY), 1);
    t = diary_find(&d, RT_EVENT_RECOVERY, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_WRITER_LOCK);
    CHECK(strcmp(t->name, "access.log") == 0);
    CHECK_EQ(t->event.bytes, 5);
    CHECK_EQ(t->event.thread, p.tid);
    CHECK(strcmp(t->thread_name, "stubborn") == 0);
    read_now(ends[0], &got);
    CHECK_EQ(got.len, 5);
    bytes_free(&got);
}

/* A thread outside the runtime, with a state that it may still look at: it is leaked. */
typedef struct outsider {
    event attached, may_end;
} outsider;

static void *stay_outside(void *arg)
{
    outsider *o = (outsider *)arg;
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "outsider";
    options.daemon = 1;
    options.delete_state = nothing;
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_OK);
    event_set(&o->attached);
    event_wait(&o->may_end);
    return NULL;
}

static void a_leak_is_told_when_it_is_entered(void)
{
    static diary d = DIARY_INIT;
    outsider o = {EVENT_INIT, EVENT_INIT};
    rt_finalize_options options = options_telling(&d);
    pthread_t thread = thread_start(stay_outside, &o);
    const told *t;
    event_wait(&o.attached);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(diary_count(&d, RT_EVENT_LEAK), 1);
    t = diary_find(&d, RT_EVENT_LEAK, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_THREAD_STATE);
    CHECK_EQ(t->event.phase, RT_PHASE_RECLAIM);
    CHECK(strstr(t->name, "'outsider'") != NULL);
    CHECK(strstr(t->text, "the thread is outside and may still look at it") != NULL);
    CHECK_EQ(t->event.bytes, 0);
    CHECK_EQ(t->on, my_tid());
    event_set(&o.may_end);
    pthread_join(thread, NULL);
}

static void *call_late(void *arg)
{
    int i;
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_atexit(NULL, NULL, nothing, NULL, NULL), RT_ERR_FINALIZING);
    }
    return arg;
}

static int let_another_thread_call_late(void *arg)
{
    pthread_join(thread_start(call_late, arg), NULL);
    return 0;
}

static void late_calls_of_a_step_are_one_event_and_later_ones_none(void)
{
    static diary d = DIARY_INIT;
    rt_finalize_options options = options_telling(&d);
    const told *t;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, NULL, let_another_thread_call_late,
                                  NULL, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    call_late(NULL); /* finalized: nobody hears of it any more */
    CHECK_EQ(diary_count(&d, RT_EVENT_LATE_CALL), 1);
    t = diary_find(&d, RT_EVENT_LATE_CALL, 0);
    CHECK_EQ(t->event.count, 3);
    CHECK_EQ(t->event.phase, RT_PHASE_FINALIZE);
    CHECK_EQ(t->on, my_tid());
}

#ifndef _WIN32

static int32_t end_the_thread(const rt_event *event, void *count)
{
    CHECK(event->kind != 0);
    ++*(int *)count;
    pthread_exit(count);
    return 0;
}

static void *finalize_telling_one_that_ends_its_thread(void *count)
{
    rt_finalize_options options = options_none();
    options.on_event = end_the_thread;
    options.event_arg = count;
    rt_finalize(NULL, &options, NULL);
    CHECK(!"the thread goes on after its pthread_exit");
    return NULL;
}

static void an_event_callback_that_ends_its_thread_does_so_after_the_finalization(void)
{
    int count = 0;
    void *value = NULL;
    pthread_join(thread_start(finalize_telling_one_that_ends_its_thread, &count), &value);
    CHECK(value == &count);
    CHECK(count >= 2 * RT_PHASE_EXIT_FUNCTIONS); /* it went on being called */
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
}

#endif

static int32_t misbehave(const rt_event *event, void *arg)
{
    ++*(int *)arg;
    CHECK_EQ(event->phase > 0, 1);
    REFUSED(rt_finalize(NULL, NULL, NULL), RT_ERR_IN_CALLBACK);
    CHECK_EQ(rt_finalize_ex(), -1);
    return INT32_MIN;
}

static void an_event_callback_may_not_finalize_and_its_failure_hurts_nobody(void)
{
    int count = 0;
    rt_finalize_options options = options_none();
    options.on_event = misbehave;
    options.event_arg = &count;
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(count >= 2 * RT_PHASE_EXIT_FUNCTIONS, 1);
}

static int count_call(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int32_t register_when_it_begins(const rt_event *event, void *arg)
{
    if (event->kind == RT_EVENT_PHASE_BEGIN && event->phase == RT_PHASE_GUARDS &&
        event->count == 1) {
        CHECK_EQ(rt_atexit(NULL, NULL, count_call, arg, NULL), RT_OK);
    }
    return 0;
}

static void an_event_callback_may_call_the_library(void)
{
    int calls = 0;
    rt_finalize_options options = options_none();
    options.on_event = register_when_it_begins;
    options.event_arg = &calls;
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(calls, 1);
}

static void options_of_a_life_hold_for_every_way_to_finalize(void)
{
    static diary of_main = DIARY_INIT, of_child = DIARY_INIT;
    rt_finalize_options options = options_telling(&of_main);
    rt_runtime *child = NULL;
    size_t heard;
    CHECK_EQ(rt_runtime_set_options(NULL, &options), RT_OK);
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &child), RT_OK);
    options.event_arg = &of_child;
    CHECK_EQ(rt_runtime_set_options(child, &options), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(diary_count(&of_main, RT_EVENT_PHASE_END), RT_PHASE_EXIT_FUNCTIONS);
    CHECK_EQ(diary_count(&of_child, RT_EVENT_PHASE_END), RT_PHASE_EXIT_FUNCTIONS);
    /* The next life has the defaults again; options for one call have no NULL in the callback's place. */
    heard = of_main.count;
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(of_main.count, heard);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

static void what_an_option_cannot_be_is_refused_and_changes_nothing(void)
{
    static const uint32_t no_policy[] = {4, 5, UINT32_MAX};
    rt_finalize_options options = options_none();
    size_t i;
    for (i = 0; i < sizeof no_policy / sizeof *no_policy; i++) {
        options.overrun = no_policy[i];
        REFUSED(rt_finalize(NULL, &options, NULL), RT_ERR_INVALID);
        REFUSED(rt_runtime_set_options(NULL, &options), RT_ERR_INVALID);
    }
    options.overrun = 0;
    options.reserved = 1;
    REFUSED(rt_runtime_set_options(NULL, &options), RT_ERR_INVALID);
    REFUSED(rt_finalize(NULL, &options, NULL), RT_ERR_INVALID);
    options.reserved = 0;
    options.struct_size = 47;
    REFUSED(rt_runtime_set_options(NULL, &options), RT_ERR_STRUCT_SIZE);
    REFUSED(rt_runtime_set_options(NULL, NULL), RT_ERR_NULL);
    options.struct_size = sizeof options;
    REFUSED(rt_runtime_set_options((rt_runtime *)&options, &options), RT_ERR_HANDLE);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
}

/* What a host compiled against the first header passes; what lies behind is not the library's. */
static void the_options_of_the_first_version_do(void)
{
    static diary d = DIARY_INIT;
    rt_finalize_options options = options_telling(&d);
    options.struct_size = 48;
    options.exit_code = -1;
    options.reserved = 7;
    CHECK_EQ(offsetof(rt_finalize_options, exit_code), 48);
    CHECK_EQ(rt_runtime_set_options(NULL, &options), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(d.count, 0);
}

/* Returns from the first event once stderr, a pipe, has named it. */
static int32_t until_the_event_is_named(const rt_event *event, void *lines)
{
    char line[512] = "";
    if (event->kind == RT_EVENT_PHASE_BEGIN && event->phase == RT_PHASE_FREEZE) {
        CHECK(fgets(line, sizeof line, (FILE *)lines) != NULL);
        CHECK(strstr(line, "event callback 'phase begin' in the phase freeze") != NULL);
    }
    return 0;
}

static void an_event_callback_that_takes_long_is_named_on_stderr(void)
{
    tube t = tube_open();
    int stderr_before = dup(STDERR_FILENO);
    FILE *lines = fdopen(t.out, "r");
    rt_finalize_options options = options_none();
    rt_status status;
    NEED(stderr_before >= 0 && lines != NULL);
    options.notice_us = under_valgrind() ? 2000000 : 200000;
    options.on_event = until_the_event_is_named;
    options.event_arg = lines;
    NEED(dup2(t.in, STDERR_FILENO) >= 0);
    status = rt_finalize(NULL, &options, NULL);
    NEED(dup2(stderr_before, STDERR_FILENO) >= 0);
    CHECK_EQ(status, RT_OK);
    fclose(lines);
    close(t.in);
    close(stderr_before);
}

int main(void)
{
    RUN(phases_begin_and_end_in_their_order);
    RUN(the_phases_of_a_child_are_within_its_parents);
    RUN(a_lock_taken_over_is_told_with_its_former_owner);
    RUN(a_writer_taken_over_is_told_with_its_bytes);
    RUN(a_leak_is_told_when_it_is_entered);
    RUN(late_calls_of_a_step_are_one_event_and_later_ones_none);
    RUN_POSIX(an_event_callback_that_ends_its_thread_does_so_after_the_finalization,
              "end of a thread that could be held up");
    RUN(an_event_callback_may_not_finalize_and_its_failure_hurts_nobody);
    RUN(an_event_callback_may_call_the_library);
    RUN(an_event_callback_that_takes_long_is_named_on_stderr);
    RUN(options_of_a_life_hold_for_every_way_to_finalize);
    RUN(what_an_option_cannot_be_is_refused_and_changes_nothing);
    RUN(the_options_of_the_first_version_do);
    return check_done();
}
