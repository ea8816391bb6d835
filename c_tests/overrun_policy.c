/*
 * What the host can have done about what runs past its time: skip it, wait on, or end the process.
 */
#include "destination.h"
#include "overrun.h"

enum { AMPLE_US = 30 * 1000000 };

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
    CHECK(strstr(said, IN_A_READ) != NULL);
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
    rt_finalize_options options = options_exiting(time_to_get_there());
    options.notice_us = -1;
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
    rt_finalize_options options = options_exiting(time_to_get_there());
    rt_writer_options named = writer_options("socket", 100, 0);
    rt_writer_callbacks callbacks;
    rt_writer *writer = NULL;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.write = write_never;
    rt_writer_open_callbacks(NULL, &callbacks, &named, &writer);
    rt_writer_write(writer, "x", 1);
    rt_finalize(NULL, &options, NULL);
}

static int32_t never_return_from_an_event(const rt_event *event, void *arg)
{
    return event->phase == RT_PHASE_FREEZE ? never_return(arg) : 0;
}

static void finalize_stuck_in_an_event_callback(void)
{
    rt_finalize_options options = options_exiting(time_to_get_there());
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
    rt_finalize_options options = options_exiting(time_to_get_there());
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
    rt_finalize_options options = options_exiting(AMPLE_US);
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
    RUN(by_continue_a_thread_is_waited_for_again_and_told_each_time);
    RUN(continue_ends_with_the_deadline);
    RUN(the_answer_decides);
    RUN(by_exit_the_process_ends_and_says_what_it_waited_for);
    RUN(a_stuck_callback_is_ended_with_the_process);
    RUN(at_the_deadline_the_process_ends_wherever_it_is_stuck);
    RUN(the_answer_can_end_the_process_too);
    RUN(the_answer_can_keep_the_process);
    RUN(in_time_nothing_ends_the_process);
    return check_done();
}
