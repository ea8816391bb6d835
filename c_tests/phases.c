/*
 * The order of a finalization, and the host's handlers on it.
 */
#include "host.h"

/* A diary of what was called, in order. */
static int diary[256];
static int entries;

static int note(void *what)
{
    if (entries < 256) {
        diary[entries++] = (int)(intptr_t)what;
    }
    return 0;
}

static void diary_is(const int *expected, int count, int line)
{
    int i;
    char text[1024] = "";
    if (count == entries && memcmp(diary, expected, sizeof(int) * (size_t)count) == 0) {
        return;
    }
    for (i = 0; i < entries && strlen(text) < 1000; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), " %d", diary[i]);
    }
    fprintf(stderr, "the diary holds%s\n", text);
    check_fail(__FILE__, line, "another order was expected");
}

#define DIARY_IS(...)                                                                   \
    do {                                                                                \
        const int expected[] = {__VA_ARGS__};                                           \
        diary_is(expected, (int)(sizeof expected / sizeof expected[0]), __LINE__);      \
    } while (0)

static void *number(int n)
{
    return (void *)(intptr_t)n;
}

static uint64_t add(uint32_t phase, int32_t order, rt_callback callback, void *arg)
{
    uint64_t id = 0;
    CHECK_EQ(rt_phase_add_handler(NULL, phase, order, NULL, callback, arg, &id), RT_OK);
    return id;
}

/* Around each phase's own work, of which the callbacks (100 + phase) are what a host sees. */
static void phases_run_in_their_order_with_handlers_before_and_after(void)
{
    static const char *const names[15] = {
        NULL,          "guards",      "threads",      "pending",      "atexit",
        "children",    "flush-early", "freeze",       "flush-frozen", "finalize",
        "flush-late",  "dealloc",     "overlapped",   "reclaim",      "exit-functions"};
    int phase, expected[64], count = 0;
    rt_thread *thread = NULL;
    rt_report *report = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.delete_state = note;
    options.state = number(100 + RT_PHASE_RECLAIM);
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_OK);
    CHECK_EQ(rt_pending_add(NULL, NULL, note, number(100 + RT_PHASE_PENDING), NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, NULL, note, number(100 + RT_PHASE_ATEXIT), NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, NULL, note, number(100 + RT_PHASE_EXIT_FUNCTIONS), NULL),
             RT_OK);
    /* Registered backwards: only the phase decides. */
    for (phase = RT_PHASE_EXIT_FUNCTIONS; phase >= RT_PHASE_GUARDS; phase--) {
        add((uint32_t)phase, 0, note, number(phase));
        add((uint32_t)phase, -1, note, number(-phase));
    }
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);

    /* Something was done in the first pass, so a second one looks again. */
    CHECK_EQ(summary_of(report).passes, 2);
    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        expected[count++] = -phase;
        if (phase == RT_PHASE_PENDING || phase == RT_PHASE_ATEXIT || phase == RT_PHASE_RECLAIM
            || phase == RT_PHASE_EXIT_FUNCTIONS) {
            expected[count++] = 100 + phase;
        }
        expected[count++] = phase;
        if (phase == RT_PHASE_ATEXIT) {
            int again;
            for (again = RT_PHASE_GUARDS; again <= RT_PHASE_ATEXIT; again++) {
                expected[count++] = -again;
                expected[count++] = again;
            }
        }
    }
    diary_is(expected, count, __LINE__);

    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK(strcmp(rt_phase_name((uint32_t)phase), names[phase]) == 0);
        CHECK(rt_report_phase_us(report, (uint32_t)phase) >= 0);
    }
    CHECK(rt_phase_name(0) == NULL);
    CHECK(rt_phase_name(15) == NULL);
    CHECK(rt_report_phase_us(report, 15) < 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void handlers_of_a_phase_run_by_order_then_by_age(void)
{
    add(RT_PHASE_FINALIZE, 3, note, number(5));
    add(RT_PHASE_FINALIZE, INT32_MAX, note, number(7));
    add(RT_PHASE_FINALIZE, 0, note, number(4));
    add(RT_PHASE_FINALIZE, -1, note, number(3));
    add(RT_PHASE_FINALIZE, -9, note, number(1));
    add(RT_PHASE_FINALIZE, -9, note, number(2));
    add(RT_PHASE_FINALIZE, 3, note, number(6));
    add(RT_PHASE_FINALIZE, INT32_MIN, note, number(0));
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(0, 1, 2, 3, 4, 5, 6, 7);
}

static uint64_t later_id, own_id;

static int change_the_list(void *arg)
{
    note(arg);
    CHECK_EQ(rt_unregister(NULL, later_id), RT_OK);
    CHECK_EQ(rt_unregister(NULL, later_id), RT_ERR_NOT_FOUND);
    CHECK_EQ(rt_unregister(NULL, own_id), RT_OK);
    add(RT_PHASE_FINALIZE, 0, note, number(2)); /* still to come in this phase: runs */
    add(RT_PHASE_FINALIZE, -5, note, number(-2)); /* its turn is over: does not */
    add(RT_PHASE_DEALLOC, 0, note, number(3));
    return 0;
}

static void handlers_add_and_remove_handlers_while_they_run(void)
{
    own_id = add(RT_PHASE_FINALIZE, 0, change_the_list, number(1));
    later_id = add(RT_PHASE_FINALIZE, 0, note, number(-1));
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(1, 2, 3);
}

static int register_late(void *arg)
{
    uint32_t phase;
    note(arg);
    for (phase = RT_PHASE_GUARDS; phase < RT_PHASE_DEALLOC; phase++) {
        CHECK_EQ(rt_phase_add_handler(NULL, phase, 0, NULL, note, NULL, NULL), RT_ERR_FINALIZING);
    }
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_DEALLOC, 9, NULL, note, number(2), NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_RECLAIM, 0, NULL, note, number(3), NULL), RT_OK);
    return 0;
}

static int register_after_the_last(void *arg)
{
    note(arg);
    /* The exit functions have run: what nobody would call is not accepted. */
    CHECK_EQ(rt_exit_function(NULL, NULL, note, number(-1), NULL), RT_ERR_FINALIZING);
    return 0;
}

static void what_cannot_run_any_more_is_not_accepted(void)
{
    add(RT_PHASE_DEALLOC, 0, register_late, number(1));
    add(RT_PHASE_EXIT_FUNCTIONS, 0, register_after_the_last, number(5));
    CHECK_EQ(rt_exit_function(NULL, NULL, note, number(4), NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(1, 2, 3, 4, 5);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_EXIT_FUNCTIONS, 0, NULL, note, NULL, NULL),
             RT_ERR_FINALIZING);
    CHECK_EQ(rt_exit_function(NULL, NULL, note, NULL, NULL), RT_ERR_FINALIZING);
    CHECK_EQ(rt_atexit(NULL, NULL, note, NULL, NULL), RT_ERR_FINALIZING);
    CHECK_EQ(rt_pending_add(NULL, NULL, note, NULL, NULL), RT_ERR_FINALIZING);
    CHECK_EQ(entries, 5);
}

static int again_three_times(void *calls)
{
    return ++*(int *)calls <= 3 ? RT_AGAIN : RT_OK;
}

static int always_again(void *calls)
{
    ++*(int *)calls;
    return RT_AGAIN;
}

static void a_handler_that_did_something_makes_the_passes_repeat(void)
{
    int some = 0, late = 0;
    rt_report *report = NULL;
    add(RT_PHASE_GUARDS, 0, again_three_times, &some);
    add(RT_PHASE_FINALIZE, 0, always_again, &late); /* nothing repeats from the freeze on */
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(some, 4);
    CHECK_EQ(late, 1);
    CHECK_EQ(summary_of(report).passes, 4);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int register_pending_again(void *calls)
{
    ++*(int *)calls;
    return rt_pending_add(NULL, "again", register_pending_again, calls, NULL) == RT_OK ? 0 : -1;
}

static void passes_are_bounded_and_what_was_not_run_is_told(void)
{
    int calls = 0, pending = 0;
    size_t made = 9;
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    options.max_passes = 7;
    add(RT_PHASE_ATEXIT, 0, always_again, &calls);
    CHECK_EQ(rt_pending_add(NULL, "again", register_pending_again, &pending, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(summary_of(report).passes, 7);
    CHECK_EQ(calls, 7);
    CHECK_EQ(pending, 7);
    CHECK(report_says(report, "1 callbacks were not run"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_pending_run(NULL, &made), RT_OK);
    CHECK_EQ(made, 0);
    CHECK_EQ(pending, 7);
}

static void a_handler_that_always_wants_another_pass_makes_the_result_incomplete(void)
{
    int calls = 0;
    rt_finalize_options options = options_none();
    options.max_passes = 5;
    add(RT_PHASE_GUARDS, 0, always_again, &calls);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    CHECK_EQ(calls, 5);
}

static int register_once(void *arg)
{
    static int registered;
    (void)arg;
    if (!registered) {
        registered = 1;
        CHECK_EQ(rt_atexit(NULL, NULL, note, number(1), NULL), RT_OK);
        CHECK_EQ(rt_pending_add(NULL, NULL, note, number(0), NULL), RT_OK);
    }
    return 0;
}

static void what_is_registered_just_before_the_freeze_still_runs(void)
{
    add(RT_PHASE_FLUSH_EARLY, 0, register_once, NULL);
    add(RT_PHASE_FREEZE, -1, note, number(2));
    CHECK_EQ(rt_finalize_ex(), 0);
    DIARY_IS(0, 1, 2);
}

static int fail(void *arg)
{
    note(arg);
    return -7;
}

static void a_failing_handler_is_counted_and_the_rest_still_run(void)
{
    rt_report *report = NULL;
    uint64_t id;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, 0, "bad freezer", fail, number(1), NULL),
             RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "bad cleaner", fail, number(2), &id),
             RT_OK);
    add(RT_PHASE_FINALIZE, 1, note, number(3));
    add(RT_PHASE_RECLAIM, 0, note, number(4));
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    DIARY_IS(1, 2, 3, 4);
    CHECK_EQ(summary_of(report).failures, 2);
    CHECK(report_says(report, "bad freezer"));
    CHECK(report_says(report, "bad cleaner"));
    CHECK(report_says(report, "-7"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int take_20_ms(void *arg)
{
    const int64_t until = now_us() + 20000;
    (void)arg;
    while (now_us() < until) {
        sched_yield();
    }
    return 0;
}

static void the_report_has_the_time_of_each_phase(void)
{
    rt_report *report = NULL;
    uint32_t phase;
    int64_t sum = 0;
    add(RT_PHASE_CHILDREN, 0, take_20_ms, NULL);
    add(RT_PHASE_DEALLOC, -1, take_20_ms, NULL);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(rt_report_phase_us(report, RT_PHASE_CHILDREN) >= 20000);
    CHECK(rt_report_phase_us(report, RT_PHASE_DEALLOC) >= 20000);
    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        sum += rt_report_phase_us(report, phase);
    }
    CHECK(sum <= (int64_t)summary_of(report).total_us);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(phases_run_in_their_order_with_handlers_before_and_after);
    RUN(handlers_of_a_phase_run_by_order_then_by_age);
    RUN(handlers_add_and_remove_handlers_while_they_run);
    RUN(what_cannot_run_any_more_is_not_accepted);
    RUN(a_handler_that_did_something_makes_the_passes_repeat);
    RUN(passes_are_bounded_and_what_was_not_run_is_told);
    RUN(a_handler_that_always_wants_another_pass_makes_the_result_incomplete);
    RUN(what_is_registered_just_before_the_freeze_still_runs);
    RUN(a_failing_handler_is_counted_and_the_rest_still_run);
    RUN(the_report_has_the_time_of_each_phase);
    return check_done();
}
