/*
 * Overruns: how each is named, and where it is announced.
 */
#include "destination.h"
#include "overrun.h"

static void check_a_callback_is_told(alarm_bell *b, rt_report *report, const char *name,
                                     uint32_t phase)
{
    uint64_t lasted_us;
    const told *t = diary_find(&b->d, RT_EVENT_OVERRUN, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_CALLBACK);
    CHECK_EQ(t->event.phase, phase);
    CHECK(strcmp(t->name, name) == 0);
    CHECK(strstr(t->text, name) != NULL);
    CHECK_EQ(t->event.thread, my_tid());
    CHECK(t->on != my_tid()); /* this thread is inside the callback */
    lasted_us = t->event.lasted_us;
    CHECK(lasted_us > 0);
    CHECK_EQ(t->event.count, 1);
    CHECK(is_in_read(t->whereabouts, b->rung.out));
    CHECK(strstr(t->text, t->whereabouts) != NULL);
    t = diary_find(&b->d, RT_EVENT_OVERRUN, 1);
    CHECK_EQ(t->event.count, 2);
    CHECK(t->event.lasted_us > lasted_us);
    CHECK((int64_t)t->event.lasted_us <= now_us() - b->made_at);
    CHECK(report_says(report, name));
    CHECK(report_says(report, "not interrupted"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_handler_past_its_budget_is_told_on_another_thread(void)
{
    static alarm_bell b;
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FINALIZE, BUDGET_US), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "collect garbage",
                                  wait_until_told_twice, &b, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    check_a_callback_is_told(&b, report, "collect garbage", RT_PHASE_FINALIZE);
}

static void an_object_past_the_budget_is_told_by_its_name(void)
{
    static alarm_bell b;
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FINALIZE, BUDGET_US), RT_OK);
    CHECK_EQ(rt_object_track(NULL, "connection", wait_until_told_twice, NULL, &b, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    check_a_callback_is_told(&b, report, "connection", RT_PHASE_FINALIZE);
}

static void a_callback_past_the_deadline_is_told(void)
{
    static alarm_bell b;
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    options.deadline_us = BUDGET_US;
    CHECK_EQ(rt_atexit(NULL, "upload", wait_until_told_twice, &b, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    check_a_callback_is_told(&b, report, "upload", RT_PHASE_ATEXIT);
}

static void a_callback_that_begins_past_the_deadline_is_told(void)
{
    static alarm_bell b;
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    options.deadline_us = 1;
    CHECK_EQ(rt_exit_function(NULL, "upload", wait_until_told_twice, &b, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    check_a_callback_is_told(&b, report, "upload", RT_PHASE_EXIT_FUNCTIONS);
}

static void check_the_reader_is_told(const told *t, const reader_thread *r, uint32_t phase)
{
    CHECK_EQ(t->event.subject, RT_SUBJECT_THREAD);
    CHECK_EQ(t->event.phase, phase);
    CHECK(strcmp(t->name, "reader") == 0);
    CHECK(strcmp(t->thread_name, "reader") == 0);
    CHECK_EQ(t->event.thread, r->tid);
    CHECK(is_in_read(t->whereabouts, r->input.out));
    CHECK(strstr(t->text, "thread 'reader' (thread ") != NULL);
    CHECK(strstr(t->text, t->whereabouts) != NULL);
    CHECK(t->event.lasted_us >= BUDGET_US);
    CHECK_EQ(t->on, my_tid());
}

static void a_thread_is_told_with_what_it_is_blocked_in_and_skipped(void)
{
    static alarm_bell b;
    reader_thread r = {{0, 0}, 0, 0, EVENT_INIT};
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread = reader_thread_start(&r);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, BUDGET_US), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(diary_count(&b.d, RT_EVENT_OVERRUN), 1);
    check_the_reader_is_told(diary_find(&b.d, RT_EVENT_OVERRUN, 0), &r, RT_PHASE_THREADS);
    CHECK(report_says(report, "thread 'reader'"));
    CHECK(report_says(report, IN_A_READ));
    CHECK_EQ(rt_report_free(report), RT_OK);
    tube_put(&r.input);
    pthread_join(thread, NULL);
}

static void a_runaway_is_told_with_what_it_is_blocked_in(void)
{
    static alarm_bell b;
    reader_thread r = {{0, 0}, 1, 0, EVENT_INIT};
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread = reader_thread_start(&r);
    b.d.answer = RT_OVERRUN_CONTINUE; /* from the freeze on that is as skip */
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, 0), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FREEZE, BUDGET_US), RT_OK);
    b.answers = 1;
    b.first[0] = RT_OVERRUN_SKIP;
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(diary_count(&b.d, RT_EVENT_OVERRUN), 2);
    check_the_reader_is_told(diary_find(&b.d, RT_EVENT_OVERRUN, 1), &r, RT_PHASE_FREEZE);
    CHECK_EQ(summary_of(report).runaways, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
    tube_put(&r.input);
    pthread_join(thread, NULL);
}

typedef struct guard_holder {
    rt_view *view;
    rt_guard *guard;
    pid_t tid;
    event open, may_end;
} guard_holder;

static void *hold_a_guard(void *arg)
{
    guard_holder *h = (guard_holder *)arg;
    rt_thread *thread = attach(NULL, "uploader", 1, RT_POLICY_ERROR);
    h->tid = my_tid();
    name_this_thread();
    CHECK_EQ(rt_guard_acquire(h->view, "upload", &h->guard), RT_OK);
    event_set(&h->open);
    event_wait(&h->may_end);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void a_guard_is_told_with_its_holder_and_age(void)
{
    static alarm_bell b;
    guard_holder h = {NULL, NULL, 0, EVENT_INIT, EVENT_INIT};
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread;
    const told *t;
    CHECK_EQ(rt_view_from(NULL, &h.view), RT_OK);
    thread = thread_start(hold_a_guard, &h);
    event_wait(&h.open);
    wait_until_asleep(h.tid);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_GUARDS, BUDGET_US), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    t = diary_find(&b.d, RT_EVENT_OVERRUN, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_GUARD);
    CHECK_EQ(t->event.phase, RT_PHASE_GUARDS);
    CHECK(strcmp(t->name, "upload") == 0);
    CHECK(strcmp(t->thread_name, "uploader") == 0);
    CHECK_EQ(t->event.thread, h.tid);
    CHECK(strstr(t->whereabouts, ASLEEP) != NULL);
    CHECK(strstr(t->text, "guard 'upload' of thread 'uploader'") != NULL);
    CHECK(strstr(t->text, "open for") != NULL);
    CHECK(t->event.lasted_us > 0);
    event_set(&h.may_end);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_guard_release(h.guard), RT_OK);
    CHECK_EQ(rt_view_close(h.view), RT_OK);
}

/* A thread that holds a writer's lock and is blocked in a read. */
typedef struct lock_holder {
    rt_writer *writer;
    tube input;
    pid_t tid;
    event holds;
} lock_holder;

static void *hold_the_lock(void *arg)
{
    lock_holder *h = (lock_holder *)arg;
    rt_thread *thread = attach(NULL, "logger", 1, RT_POLICY_ERROR);
    h->tid = my_tid();
    name_this_thread();
    CHECK_EQ(rt_writer_lock(h->writer), RT_OK);
    CHECK_EQ(rt_writer_write(h->writer, "12345", 5), RT_OK);
    event_set(&h->holds);
    tube_get(&h->input);
    CHECK_EQ(rt_writer_unlock(h->writer), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void a_writers_lock_is_told_with_its_holder_and_the_buffer_as_a_leak(void)
{
    static alarm_bell b;
    lock_holder h = {NULL, {0, 0}, 0, EVENT_INIT};
    rt_report *report = NULL;
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread;
    const told *t;
    int ends[2];
    pipe_open(ends);
    h.input = tube_open();
    h.writer = writer_open(NULL, ends[1], "access.log", 100, 0);
    thread = thread_start(hold_the_lock, &h);
    event_wait(&h.holds);
    wait_until_asleep(h.tid);
    options.grace_us = time_to_get_there(); /* all flushes share it */
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    t = diary_find(&b.d, RT_EVENT_OVERRUN, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_WRITER_LOCK);
    CHECK_EQ(t->event.phase, RT_PHASE_FLUSH_FROZEN);
    CHECK(strcmp(t->name, "access.log") == 0);
    CHECK(strcmp(t->thread_name, "logger") == 0);
    CHECK_EQ(t->event.thread, h.tid);
    CHECK(is_in_read(t->whereabouts, h.input.out));
    CHECK(strstr(t->text, "lock of writer 'access.log', held by 'logger'") != NULL);
    t = diary_find(&b.d, RT_EVENT_LEAK, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_WRITER);
    CHECK(strcmp(t->name, "access.log") == 0);
    CHECK_EQ(t->event.bytes, 5);
    CHECK(report_says(report, IN_A_READ));
    CHECK_EQ(rt_report_free(report), RT_OK);
    tube_put(&h.input);
    pthread_join(thread, NULL);
}

int main(void)
{
    RUN(a_handler_past_its_budget_is_told_on_another_thread);
    RUN(an_object_past_the_budget_is_told_by_its_name);
    RUN(a_callback_past_the_deadline_is_told);
    RUN(a_callback_that_begins_past_the_deadline_is_told);
    RUN(a_thread_is_told_with_what_it_is_blocked_in_and_skipped);
    RUN(a_runaway_is_told_with_what_it_is_blocked_in);
    RUN(a_guard_is_told_with_its_holder_and_age);
    RUN(a_writers_lock_is_told_with_its_holder_and_the_buffer_as_a_leak);
    return check_done();
}
