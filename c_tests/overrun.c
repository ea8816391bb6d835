/*
 * What runs past its time: how it is named, who is told, and what the host can have done about it.
 *
 * A budget is short, and what overruns it waits for the event: no test depends on how fast it runs.
 */
#include "destination.h"
#include "diary.h"

/* Whether the system says what another thread is blocked in. */
#ifdef _WIN32
enum { IN_WHAT_IS_KNOWN = 0 };
#else
enum { IN_WHAT_IS_KNOWN = 1 };
#endif

enum { BUDGET_US = 20000, AMPLE_US = 30 * 1000000 };

/* Long enough to come to the callback that is stuck then. */
static int64_t time_to_get_there(void)
{
    return under_valgrind() ? 5000000 : 300000;
}

/* A diary whose overruns also go into a pipe: what waits there to be told reads it. */
typedef struct alarm_bell {
    diary d;
    tube rung;
    size_t answers; /* how many answers from below are given; then the diary's */
    int32_t first[4];
} alarm_bell;

static int32_t ring(const rt_event *event, void *arg)
{
    alarm_bell *b = (alarm_bell *)arg;
    int32_t answer = diary_hear(event, &b->d);
    if (event->kind == RT_EVENT_OVERRUN) {
        const size_t nth = diary_count(&b->d, RT_EVENT_OVERRUN) - 1;
        if (nth < b->answers) {
            answer = b->first[nth];
        }
        tube_put(&b->rung);
    }
    return answer;
}

static rt_finalize_options options_ringing(alarm_bell *b)
{
    rt_finalize_options options = options_none();
    b->rung = tube_open();
    options.on_event = ring;
    options.event_arg = b;
    options.notice_us = -1;
    return options;
}

/* A callback that returns once its overrun was told twice. */
static int wait_until_told_twice(void *arg)
{
    alarm_bell *b = (alarm_bell *)arg;
    tube_get(&b->rung);
    tube_get(&b->rung);
    return 0;
}

static void check_a_callback_is_told(alarm_bell *b, rt_report *report, const char *name,
                                     uint32_t phase)
{
    char pipe_name[64];
    const told *t = diary_find(&b->d, RT_EVENT_OVERRUN, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_CALLBACK);
    CHECK_EQ(t->event.phase, phase);
    CHECK(strcmp(t->name, name) == 0);
    CHECK(strstr(t->text, name) != NULL);
    CHECK_EQ(t->event.thread, my_tid());
    CHECK(t->on != my_tid()); /* this thread is inside the callback */
    /* The time was up; of a deadline a quarter is kept for what follows. On a slow machine some of
       it was over when the callback began. */
    CHECK(t->event.lasted_us > 0 && t->event.since_us + t->event.lasted_us >= BUDGET_US / 4 * 3);
    CHECK_EQ(t->event.count, 1);
    snprintf(pipe_name, sizeof pipe_name, "in read of descriptor %d (pipe:[", b->rung.out);
    CHECK(!IN_WHAT_IS_KNOWN || strncmp(t->whereabouts, pipe_name, strlen(pipe_name)) == 0);
    CHECK(strstr(t->text, t->whereabouts) != NULL);
    t = diary_find(&b->d, RT_EVENT_OVERRUN, 1);
    CHECK_EQ(t->event.count, 2);
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

/* A non-daemon thread that is blocked in a read of a pipe, outside or inside the runtime. */
typedef struct reader_thread {
    tube input;
    int inside;
    pid_t tid;
    event attached;
} reader_thread;

static void *read_the_pipe(void *arg)
{
    reader_thread *r = (reader_thread *)arg;
    rt_thread *thread = attach(NULL, "reader", 0, RT_POLICY_ERROR);
    r->tid = my_tid();
    if (r->inside) {
        CHECK_EQ(rt_thread_enter(thread), RT_OK);
    }
    event_set(&r->attached);
    tube_get(&r->input);
    if (r->inside && rt_thread_checkpoint(thread) == RT_OK) {
        CHECK_EQ(rt_thread_leave(thread), RT_OK);
    }
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static pthread_t reader_thread_start(reader_thread *r)
{
    pthread_t thread;
    r->input = tube_open();
    thread = thread_start(read_the_pipe, r);
    event_wait(&r->attached);
    wait_until_asleep(r->tid);
    return thread;
}

static void check_the_reader_is_told(const told *t, const reader_thread *r, uint32_t phase)
{
    char where[64];
    snprintf(where, sizeof where, "in read of descriptor %d (pipe:[", r->input.out);
    CHECK_EQ(t->event.subject, RT_SUBJECT_THREAD);
    CHECK_EQ(t->event.phase, phase);
    CHECK(strcmp(t->name, "reader") == 0);
    CHECK(strcmp(t->thread_name, "reader") == 0);
    CHECK_EQ(t->event.thread, r->tid);
    CHECK(!IN_WHAT_IS_KNOWN || strncmp(t->whereabouts, where, strlen(where)) == 0);
    CHECK(strstr(t->text, "thread 'reader' (thread ") != NULL);
    CHECK(strstr(t->text, t->whereabouts) != NULL);
    CHECK(t->event.lasted_us >= BUDGET_US);
    CHECK_EQ(t->on, my_tid());
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
    CHECK(!IN_WHAT_IS_KNOWN || report_says(report, "in read of descriptor"));
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

static void *wait_for_the_third_event(void *arg)
{
    void **both = (void **)arg;
    alarm_bell *b = (alarm_bell *)both[0];
    reader_thread *r = (reader_thread *)both[1];
    int i;
    for (i = 0; i < 3; i++) {
        tube_get(&b->rung);
    }
    tube_put(&r->input);
    return NULL;
}

static void by_continue_a_thread_is_waited_for_again_and_told_each_time(void)
{
    static alarm_bell b;
    reader_thread r = {{0, 0}, 0, 0, EVENT_INIT};
    void *both[2];
    size_t i, told_times;
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread = reader_thread_start(&r), ender;
    both[0] = &b;
    both[1] = &r;
    ender = thread_start(wait_for_the_third_event, both);
    options.overrun = RT_OVERRUN_CONTINUE;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, BUDGET_US), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK); /* it was waited for to its end */
    pthread_join(ender, NULL);
    pthread_join(thread, NULL);
    told_times = diary_count(&b.d, RT_EVENT_OVERRUN);
    CHECK(told_times >= 3);
    for (i = 0; i < told_times; i++) {
        CHECK_EQ(diary_find(&b.d, RT_EVENT_OVERRUN, i)->event.count, i + 1);
    }
}

static void continue_ends_with_the_deadline(void)
{
    static alarm_bell b;
    reader_thread r = {{0, 0}, 0, 0, EVENT_INIT};
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread = reader_thread_start(&r);
    options.overrun = RT_OVERRUN_CONTINUE;
    options.deadline_us = 5 * BUDGET_US;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, BUDGET_US), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    CHECK(diary_count(&b.d, RT_EVENT_OVERRUN) >= 1);
    tube_put(&r.input);
    pthread_join(thread, NULL);
}

/* The event's answer wins over the option: waited for again once, then no longer. */
static void the_answer_decides(void)
{
    static alarm_bell b;
    reader_thread r = {{0, 0}, 0, 0, EVENT_INIT};
    rt_finalize_options options = options_ringing(&b);
    pthread_t thread = reader_thread_start(&r);
    options.overrun = RT_OVERRUN_EXIT;
    b.answers = 2;
    b.first[0] = RT_OVERRUN_CONTINUE;
    b.first[1] = RT_OVERRUN_SKIP;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, BUDGET_US), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    CHECK_EQ(diary_count(&b.d, RT_EVENT_OVERRUN), 2);
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
    CHECK(!IN_WHAT_IS_KNOWN || strstr(t->whereabouts, "asleep") != NULL);
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
    CHECK(!IN_WHAT_IS_KNOWN || strncmp(t->whereabouts, "in read of descriptor ", 22) == 0);
    CHECK(strstr(t->text, "lock of writer 'access.log', held by 'logger'") != NULL);
    t = diary_find(&b.d, RT_EVENT_LEAK, 0);
    CHECK_EQ(t->event.subject, RT_SUBJECT_WRITER);
    CHECK(strcmp(t->name, "access.log") == 0);
    CHECK_EQ(t->event.bytes, 5);
    CHECK(!IN_WHAT_IS_KNOWN || report_says(report, "in read of descriptor"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    tube_put(&h.input);
    pthread_join(thread, NULL);
}

static int never_return(void *arg)
{
    tube t = tube_open();
    (void)arg;
    for (;;) {
        tube_get(&t);
    }
    return 0;
}

static void finalize_with_a_thread_by_exit(void)
{
    reader_thread r = {{0, 0}, 0, 0, EVENT_INIT};
    rt_finalize_options options = options_none();
    reader_thread_start(&r);
    options.overrun = RT_OVERRUN_EXIT;
    options.exit_code = 17;
    rt_runtime_set_budget(NULL, RT_PHASE_THREADS, BUDGET_US);
    rt_finalize(NULL, &options, NULL);
}

static void by_exit_the_process_ends_and_says_what_it_waited_for(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_with_a_thread_by_exit, said, sizeof said), 17);
    CHECK(strstr(said, "main") != NULL);
    CHECK(strstr(said, "threads") != NULL);
    CHECK(strstr(said, "thread 'reader'") != NULL);
    CHECK(!IN_WHAT_IS_KNOWN || strstr(said, "in read of descriptor") != NULL);
}

static void finalize_stuck_in_a_callback_by_budget(void)
{
    rt_finalize_options options = options_none();
    options.overrun = RT_OVERRUN_EXIT;
    options.notice_us = -1;
    rt_runtime_set_options(NULL, &options);
    rt_runtime_set_budget(NULL, RT_PHASE_ATEXIT, BUDGET_US);
    rt_atexit(NULL, "send telemetry", never_return, NULL, NULL);
    rt_finalize_ex();
}

static void finalize_stuck_in_a_callback_by_deadline(void)
{
    rt_finalize_options options = options_none();
    options.overrun = RT_OVERRUN_EXIT;
    options.notice_us = -1;
    options.deadline_us = time_to_get_there();
    rt_atexit(NULL, "send telemetry", never_return, NULL, NULL);
    rt_finalize(NULL, &options, NULL);
}

static void a_stuck_callback_is_ended_with_the_process(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_stuck_in_a_callback_by_budget, said, sizeof said), 120);
    CHECK(strstr(said, "callback 'send telemetry'") != NULL);
    CHECK(strstr(said, "atexit") != NULL);
    CHECK_EQ(exit_code_of(finalize_stuck_in_a_callback_by_deadline, said, sizeof said), 120);
    CHECK(strstr(said, "callback 'send telemetry'") != NULL);
}

static int64_t write_never(void *arg, const void *data, size_t size)
{
    (void)data;
    (void)size;
    return never_return(arg);
}

/* Inside a writer's callback the finalizing thread is in no callback of a phase. */
static void finalize_stuck_in_a_writers_callback(void)
{
    rt_finalize_options options = options_none();
    rt_writer_options named = writer_options("socket", 100, 0);
    rt_writer_callbacks callbacks;
    rt_writer *writer = NULL;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.write = write_never;
    rt_writer_open_callbacks(NULL, &callbacks, &named, &writer);
    rt_writer_write(writer, "x", 1);
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = time_to_get_there();
    rt_finalize(NULL, &options, NULL);
}

static int32_t never_return_from_an_event(const rt_event *event, void *arg)
{
    return event->phase == RT_PHASE_FREEZE ? never_return(arg) : 0;
}

static void finalize_stuck_in_an_event_callback(void)
{
    rt_finalize_options options = options_none();
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = time_to_get_there();
    options.on_event = never_return_from_an_event;
    rt_finalize(NULL, &options, NULL);
}

static int32_t never_answer(const rt_event *event, void *arg)
{
    return event->kind == RT_EVENT_OVERRUN ? never_return(arg) : 0;
}

/* The watch thread itself is stuck: in the host's event callback. */
static void finalize_with_an_event_callback_that_never_answers(void)
{
    rt_finalize_options options = options_none();
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = time_to_get_there();
    options.on_event = never_answer;
    rt_atexit(NULL, "send telemetry", never_return, NULL, NULL);
    rt_finalize(NULL, &options, NULL);
}

static void at_the_deadline_the_process_ends_wherever_it_is_stuck(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_stuck_in_a_writers_callback, said, sizeof said), 120);
    CHECK(strstr(said, "flush-early") != NULL);
    CHECK_EQ(exit_code_of(finalize_stuck_in_an_event_callback, said, sizeof said), 120);
    CHECK(strstr(said, "event callback 'phase begin'") != NULL);
    CHECK_EQ(exit_code_of(finalize_with_an_event_callback_that_never_answers, said, sizeof said),
             120);
    CHECK(strstr(said, "callback 'send telemetry'") != NULL);
}

static int32_t answer_exit(const rt_event *event, void *arg)
{
    (void)arg;
    return event->kind == RT_EVENT_OVERRUN ? RT_OVERRUN_EXIT : 0;
}

static void finalize_stuck_with_an_answer(void)
{
    rt_finalize_options options = options_none();
    options.on_event = answer_exit;
    options.exit_code = 3;
    options.deadline_us = time_to_get_there();
    rt_atexit(NULL, "send telemetry", never_return, NULL, NULL);
    rt_finalize(NULL, &options, NULL);
}

static void the_answer_can_end_the_process_too(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_stuck_with_an_answer, said, sizeof said), 3);
    CHECK(strstr(said, "callback 'send telemetry'") != NULL);
}

/* The option would end the process at the deadline; the answer lets the callback go on. */
static void the_answer_can_keep_the_process(void)
{
    static alarm_bell b;
    rt_finalize_options options = options_ringing(&b);
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = time_to_get_there();
    b.d.answer = RT_OVERRUN_CONTINUE;
    CHECK_EQ(rt_atexit(NULL, "upload", wait_until_told_twice, &b, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    CHECK_EQ(diary_count(&b.d, RT_EVENT_PHASE_END) >= RT_PHASE_EXIT_FUNCTIONS, 1);
}

static void finalize_in_time(void)
{
    rt_finalize_options options = options_none();
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = AMPLE_US;
    _exit(rt_finalize(NULL, &options, NULL) == RT_OK ? 0 : 1);
}

static void in_time_nothing_ends_the_process(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_in_time, said, sizeof said), 0);
    CHECK_EQ(said[0], '\0');
}

int main(void)
{
    RUN(a_handler_past_its_budget_is_told_on_another_thread);
    RUN(an_object_past_the_budget_is_told_by_its_name);
    RUN(a_callback_past_the_deadline_is_told);
    RUN(a_callback_that_begins_past_the_deadline_is_told);
    RUN(a_thread_is_told_with_what_it_is_blocked_in_and_skipped);
    RUN(a_runaway_is_told_with_what_it_is_blocked_in);
    RUN(by_continue_a_thread_is_waited_for_again_and_told_each_time);
    RUN(continue_ends_with_the_deadline);
    RUN(the_answer_decides);
    RUN(a_guard_is_told_with_its_holder_and_age);
    RUN(a_writers_lock_is_told_with_its_holder_and_the_buffer_as_a_leak);
    RUN(by_exit_the_process_ends_and_says_what_it_waited_for);
    RUN(a_stuck_callback_is_ended_with_the_process);
    RUN(at_the_deadline_the_process_ends_wherever_it_is_stuck);
    RUN(the_answer_can_end_the_process_too);
    RUN(the_answer_can_keep_the_process);
    RUN(in_time_nothing_ends_the_process);
    return check_done();
}
