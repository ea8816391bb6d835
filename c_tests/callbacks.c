/*
 * At-exit callbacks, exit functions and pending calls: their order, and what they may do to one
 * another.
 */
#include "host.h"

static int diary[64];
static int entries;

static int note(void *what)
{
    if (entries < 64) {
        diary[entries++] = (int)(intptr_t)what;
    }
    return 0;
}

static void *number(int n)
{
    return (void *)(intptr_t)n;
}

#define DIARY_IS(...)                                                                       \
    do {                                                                                    \
        const int expected[] = {__VA_ARGS__};                                               \
        CHECK_EQ(entries, sizeof expected / sizeof expected[0]);                            \
        CHECK(memcmp(diary, expected, sizeof expected) == 0);                               \
    } while (0)

static uint64_t at_exit(rt_callback callback, void *arg)
{
    uint64_t id = 0;
    CHECK_EQ(rt_atexit(NULL, NULL, callback, arg, &id), RT_OK);
    CHECK(id != 0);
    return id;
}

static void callbacks_run_last_in_first_out_and_once(void)
{
    uint64_t third;
    at_exit(note, number(1));
    at_exit(note, number(2));
    third = at_exit(note, number(3));
    at_exit(note, number(4));
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(4, 3, 2, 1);
    CHECK_EQ(rt_unregister(NULL, third), RT_ERR_NOT_FOUND);
}

static int register_two(void *what)
{
    note(what);
    at_exit(note, number(10));
    at_exit(note, number(11));
    return 0;
}

static void one_registered_by_another_runs_next(void)
{
    at_exit(note, number(1));
    at_exit(register_two, number(2));
    at_exit(note, number(3));
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(3, 2, 11, 10, 1);
}

static int register_itself(void *left)
{
    int *count = (int *)left;
    note(number(*count));
    if (--*count > 0) {
        at_exit(register_itself, count);
    }
    return 0;
}

static void one_may_register_itself_again(void)
{
    int left = 4;
    at_exit(note, number(0));
    at_exit(register_itself, &left);
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(4, 3, 2, 1, 0);
}

static uint64_t ids[8];

static int unregister_others_and_itself(void *what)
{
    size_t removed = 0;
    note(what);
    CHECK_EQ(rt_unregister(NULL, ids[2]), RT_OK);
    CHECK_EQ(rt_unregister(NULL, ids[0]), RT_OK);
    CHECK_EQ(rt_unregister(NULL, ids[5]), RT_ERR_NOT_FOUND); /* itself: it runs already */
    CHECK_EQ(rt_unregister(NULL, ids[6]), RT_ERR_NOT_FOUND); /* has run */
    CHECK_EQ(rt_atexit_unregister(NULL, note, number(3), &removed), RT_OK);
    CHECK_EQ(removed, 2);
    CHECK_EQ(rt_atexit_unregister(NULL, note, number(77), &removed), RT_OK);
    CHECK_EQ(removed, 0);
    return 0;
}

static void callbacks_unregister_one_another_while_they_run(void)
{
    ids[0] = at_exit(note, number(0));
    ids[1] = at_exit(note, number(1));
    ids[2] = at_exit(note, number(2));
    ids[3] = at_exit(note, number(3));
    ids[4] = at_exit(note, number(3));
    ids[5] = at_exit(unregister_others_and_itself, number(5));
    ids[6] = at_exit(note, number(6));
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(6, 5, 1);
}

static int fail(void *what)
{
    note(what);
    return -1;
}

static void unregistering_goes_by_function_and_argument(void)
{
    size_t removed = 9;
    at_exit(note, number(1));
    at_exit(fail, number(1));
    at_exit(note, number(2));
    at_exit(fail, NULL);
    CHECK_EQ(rt_atexit_unregister(NULL, NULL, NULL, &removed), RT_ERR_NULL);
    CHECK_EQ(rt_atexit_unregister(NULL, note, number(1), NULL), RT_OK);
    CHECK_EQ(rt_atexit_unregister(NULL, fail, NULL, &removed), RT_OK); /* whatever the argument */
    CHECK_EQ(removed, 2);
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(2);
}

static void a_failing_callback_is_counted_and_the_rest_still_run(void)
{
    rt_report *report = NULL;
    at_exit(note, number(1));
    CHECK_EQ(rt_atexit(NULL, "save the settings", fail, number(2), NULL), RT_OK);
    at_exit(note, number(3));
    CHECK_EQ(rt_atexit(NULL, NULL, NULL, NULL, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    DIARY_IS(3, 2, 1);
    CHECK_EQ(summary_of(report).failures, 1);
    CHECK(report_says(report, "save the settings"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int next_expected;

static int expect_number(void *what)
{
    return (int)(intptr_t)what == next_expected-- ? 0 : -1;
}

static void a_hundred_thousand_callbacks_run_in_order(void)
{
    enum { MANY = 100000 };
    int i;
    for (i = 1; i <= MANY; i++) {
        CHECK_EQ(rt_atexit(NULL, NULL, expect_number, number(i), NULL), RT_OK);
    }
    next_expected = MANY;
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(next_expected, 0);
}

static int register_exit_functions(void *what)
{
    CHECK_EQ(rt_exit_function(NULL, NULL, note, number(1), NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, NULL, note, number(2), NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, NULL, note, NULL, NULL), RT_ERR_FINALIZING);
    return note(what);
}

static void exit_functions_have_no_limit_and_may_register_others(void)
{
    int i;
    uint64_t id = 0;
    CHECK_EQ(rt_exit_function(NULL, NULL, register_exit_functions, number(3), NULL), RT_OK);
    for (i = 1; i <= 1000; i++) {
        CHECK_EQ(rt_exit_function(NULL, NULL, expect_number, number(i), NULL), RT_OK);
    }
    CHECK_EQ(rt_exit_function(NULL, NULL, fail, number(1), &id), RT_OK);
    CHECK_EQ(rt_unregister(NULL, id), RT_OK);
    next_expected = 1000;
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(next_expected, 0);
    DIARY_IS(3, 2, 1);
}

enum { ADDERS = 4, CALLS = 250 };

static int last_of_adder[ADDERS];
static int calls_made;

static int check_fifo(void *what)
{
    const int adder = (int)(intptr_t)what / 1000, call = (int)(intptr_t)what % 1000;
    const int in_order = call == last_of_adder[adder] + 1;
    last_of_adder[adder] = call;
    calls_made++;
    return in_order ? 0 : -1;
}

static void *add_pending_calls(void *adder)
{
    int call;
    rt_thread *thread = attach(NULL, "adder", 0, RT_POLICY_ERROR);
    for (call = 1; call <= CALLS; call++) {
        void *what = number((int)(intptr_t)adder * 1000 + call);
        CHECK_EQ(rt_pending_add(NULL, NULL, check_fifo, what, NULL), RT_OK);
    }
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void pending_calls_of_several_threads_keep_each_ones_order(void)
{
    int i;
    size_t made = 0;
    pthread_t threads[ADDERS];
    for (i = 0; i < ADDERS; i++) {
        threads[i] = thread_start(add_pending_calls, number(i));
    }
    for (i = 0; i < ADDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(rt_pending_run(NULL, &made), RT_OK);
    CHECK_EQ(made, ADDERS * CALLS);
    CHECK_EQ(calls_made, ADDERS * CALLS);
    CHECK_EQ(rt_pending_run(NULL, &made), RT_OK);
    CHECK_EQ(made, 0);
}

static event attached = EVENT_INIT;

/* Registers what a thread can that is still at work when the callbacks have run once. */
static void *register_late(void *arg)
{
    rt_thread *thread = attach(NULL, "late", 0, RT_POLICY_ERROR);
    event_set(&attached);
    while (rt_runtime_state(NULL) == RT_STATE_RUNNING) {
        sched_yield();
    }
    CHECK_EQ(rt_pending_add(NULL, NULL, note, number(1), NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, NULL, note, number(3), NULL), RT_OK);
    CHECK_EQ(rt_pending_add(NULL, NULL, note, number(2), NULL), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return arg;
}

static void what_threads_register_while_they_are_waited_for_runs(void)
{
    pthread_t thread = thread_start(register_late, NULL);
    event_wait(&attached);
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(1, 2, 3);
    pthread_join(thread, NULL);
}

/* A callback starts a thread, which registers another callback when the first pass is over. */
static pthread_t started;

static int start_a_late_thread(void *what)
{
    note(what);
    started = thread_start(register_late, NULL);
    event_wait(&attached);
    return 0;
}

static void what_a_thread_registers_after_the_first_pass_runs(void)
{
    rt_report *report = NULL;
    at_exit(start_a_late_thread, number(0));
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    /* All have run; which pass each one met is up to the scheduler. */
    CHECK_EQ(entries, 4);
    CHECK_EQ(diary[0], 0);
    CHECK_EQ(diary[1] + diary[2] + diary[3], 1 + 2 + 3);
    CHECK(summary_of(report).passes >= 2);
    CHECK_EQ(rt_report_free(report), RT_OK);
    pthread_join(started, NULL);
}

static int add_pending_again(void *left)
{
    return *(int *)left > 0 && --*(int *)left >= 0
               ? rt_pending_add(NULL, NULL, add_pending_again, left, NULL)
               : 0;
}

static void a_pending_call_may_add_another(void)
{
    int left = 3;
    size_t made = 0;
    CHECK_EQ(rt_pending_add(NULL, NULL, add_pending_again, &left, NULL), RT_OK);
    CHECK_EQ(rt_pending_run(NULL, &made), RT_OK);
    CHECK_EQ(made, 1); /* the one that was there; the new one is for the next time */
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(left, 0);
}

static void a_failed_pending_call_is_told_twice(void)
{
    size_t made = 0;
    rt_report *report = NULL;
    CHECK_EQ(rt_pending_add(NULL, NULL, note, number(1), NULL), RT_OK);
    CHECK_EQ(rt_pending_add(NULL, "refresh", fail, number(2), NULL), RT_OK);
    CHECK_EQ(rt_pending_add(NULL, NULL, note, number(3), NULL), RT_OK);
    CHECK_EQ(rt_pending_run(NULL, &made), RT_ERR_CALLBACK);
    CHECK_EQ(made, 3);
    CHECK(strstr(rt_last_error(), "refresh") != NULL);
    DIARY_IS(1, 2, 3);
    rt_finalize(NULL, NULL, &report);
    CHECK_EQ(summary_of(report).failures, 1);
    CHECK(report_says(report, "refresh"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(callbacks_run_last_in_first_out_and_once);
    RUN(one_registered_by_another_runs_next);
    RUN(one_may_register_itself_again);
    RUN(callbacks_unregister_one_another_while_they_run);
    RUN(unregistering_goes_by_function_and_argument);
    RUN(a_failing_callback_is_counted_and_the_rest_still_run);
    RUN(a_hundred_thousand_callbacks_run_in_order);
    RUN(exit_functions_have_no_limit_and_may_register_others);
    RUN(pending_calls_of_several_threads_keep_each_ones_order);
    RUN(what_threads_register_while_they_are_waited_for_runs);
    RUN(what_a_thread_registers_after_the_first_pass_runs);
    RUN(a_pending_call_may_add_another);
    RUN(a_failed_pending_call_is_told_twice);
    return check_done();
}
