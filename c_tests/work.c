/*
 * What a shutdown does with a piece of work: it waits for it, leaves out what has not begun, or goes
 * on without it.
 */
#include "host.h"

static int ran;

static int count(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

static int spend_the_time(void *arg)
{
    (void)arg;
    usleep(2000);
    return count(NULL);
}

static void add(const char *name, uint32_t phase, int32_t order, uint32_t work, rt_callback callback)
{
    rt_handler_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.order = order;
    options.work = work;
    CHECK_EQ(rt_phase_add_handler_ex(NULL, phase, name, &options, callback, NULL, NULL), RT_OK);
}

static void a_handler_that_may_be_skipped_is_once_its_phases_time_is_out(void)
{
    rt_report *report = NULL;
    rt_report_left left;
    add("slow", RT_PHASE_FINALIZE, 0, RT_WORK_BLOCK, spend_the_time);
    add("warm-cache", RT_PHASE_FINALIZE, 1, RT_WORK_SKIP, count);
    add("needed", RT_PHASE_FINALIZE, 2, 0, count);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FINALIZE, 1000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK); /* it is no failure to skip what may be */
    CHECK_EQ(ran, 2);
    CHECK(report_says(report, "skipped for want of time"));
    CHECK(report_says(report, "finalize  warm-cache"));
    left.struct_size = sizeof left;
    CHECK_EQ(rt_report_get_left(report, 0, &left), RT_OK);
    CHECK_EQ(left.phase, RT_PHASE_FINALIZE);
    CHECK_EQ(left.state, RT_LEFT_SKIPPED);
    CHECK(strcmp(left.name, "warm-cache") == 0 && strcmp(left.how, "") == 0);
    REFUSED(rt_report_get_left(report, 1, &left), RT_ERR_NOT_FOUND);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_handler_that_may_be_skipped_runs_while_there_is_time(void)
{
    add("warm-cache", RT_PHASE_FINALIZE, 0, RT_WORK_SKIP, count);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(ran, 1);
}

typedef struct worker {
    uint32_t work;
    event ready, go_on;
    rt_status first, second;
    pid_t main_tid;
} worker;

static rt_thread *attach_with(uint32_t work)
{
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.policy = RT_POLICY_ERROR;
    options.work = work;
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_OK);
    return thread;
}

/* Works outside until after the finalization; what it would do inside is left out. */
static void *stay_outside(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *thread = attach_with(w->work);
    event_set(&w->ready);
    event_wait(&w->go_on);
    w->first = rt_thread_enter(thread);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void not_waited_for_outside(uint32_t work)
{
    worker w = {work, EVENT_INIT, EVENT_INIT, 1, 1, 0};
    pthread_t thread = thread_start(stay_outside, &w);
    event_wait(&w.ready);
    CHECK_EQ(rt_finalize_ex(), 0);
    event_set(&w.go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(w.first, RT_ERR_FINALIZING);
}

static void a_thread_that_may_be_skipped_is_not_waited_for_outside(void)
{
    not_waited_for_outside(RT_WORK_SKIP);
}

static void a_thread_that_continues_is_not_waited_for(void)
{
    not_waited_for_outside(RT_WORK_CONTINUE);
}

/* Inside when finalization begins; leaves when that waits, and may not begin again. */
static void *finish_what_was_begun(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *thread = attach_with(RT_WORK_SKIP);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    event_set(&w->ready);
    while (rt_runtime_state(NULL) == RT_STATE_RUNNING) {
        sched_yield();
    }
    wait_until_asleep(w->main_tid);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_PRE_FINALIZING);
    w->first = rt_thread_checkpoint(thread);
    ran++;
    CHECK_EQ(rt_thread_leave(thread), RT_OK);
    w->second = rt_thread_enter(thread);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void a_thread_that_may_be_skipped_finishes_what_it_began_inside(void)
{
    worker w = {RT_WORK_SKIP, EVENT_INIT, EVENT_INIT, 1, 1, my_tid()};
    pthread_t thread = thread_start(finish_what_was_begun, &w);
    event_wait(&w.ready);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(ran, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(w.first, RT_OK);
    CHECK_EQ(w.second, RT_ERR_FINALIZING);
}

static void each_misuse_has_its_status(void)
{
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.work = 4;
    REFUSED(rt_thread_attach(NULL, &options, &thread), RT_ERR_INVALID);
    options.work = RT_WORK_SKIP;
    options.daemon = 1;
    REFUSED(rt_thread_attach(NULL, &options, &thread), RT_ERR_INVALID);
    options.work = RT_WORK_CONTINUE;
    options.reserved = 1;
    REFUSED(rt_thread_attach(NULL, &options, &thread), RT_ERR_INVALID);
    CHECK(thread == NULL);
    options.struct_size = offsetof(rt_thread_options, work); /* a host from before there was one */
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

int main(void)
{
    RUN(a_handler_that_may_be_skipped_is_once_its_phases_time_is_out);
    RUN(a_handler_that_may_be_skipped_runs_while_there_is_time);
    RUN(a_thread_that_may_be_skipped_is_not_waited_for_outside);
    RUN(a_thread_that_continues_is_not_waited_for);
    RUN(a_thread_that_may_be_skipped_finishes_what_it_began_inside);
    RUN(each_misuse_has_its_status);
    return check_done();
}
